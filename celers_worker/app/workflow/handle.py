"""A handle on an enqueued workflow: ask how it is, wait for it, cancel it, take it up again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar, cast
from uuid import UUID

from celers_worker.app.client import Client
from celers_worker.core.duration import Duration, format_duration, parse_duration
from celers_worker.core.errors import ResultTimeout, TaskFailed, TaskNotFound
from celers_worker.core.workflow import WorkflowState
from celers_worker.store import control
from celers_worker.store.workflow import inspect, reopening, stopping

R = TypeVar("R")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class EnqueuedWorkflow(Generic[R]):
    """A workflow by its id. Works across processes."""

    id: UUID
    _client: Client = field(kw_only=True, repr=False, compare=False)

    async def state(self) -> WorkflowState:
        """Where the workflow is in its life. Raises TaskNotFound."""
        return (await self._ending()).state

    async def result(self, timeout: Duration = 60) -> R:
        """Wait until the workflow has ended and return its result, as its elements describe it.

        Raises TaskFailed if it ended otherwise, ResultTimeout if it has not ended in time (it goes
        on), TaskNotFound if there is no such workflow (any more).
        """
        limit = parse_duration(timeout, name="timeout")
        end = time.monotonic() + limit.total_seconds()
        for pause in _pauses():
            ending = await self._ending()
            if ending.state is not WorkflowState.RUNNING:
                return self._value(ending)
            left = end - time.monotonic()
            if left <= 0:
                self._too_late(format_duration(limit))
            await asyncio.sleep(min(pause, left))
        raise AssertionError("the pauses do not end")

    async def steps(self) -> Sequence[inspect.StepView]:
        """Its steps with their states, in their order. Raises TaskNotFound."""
        found = await (await self._client.store()).run(inspect.graph, self.id)
        return self._known(found).steps

    async def cancel(self, reason: str = "cancelled by its producer") -> bool:
        """Cancel all of it; running steps are asked to stop. False: it has ended already."""
        store = await self._client.store()
        return (
            self._known(await store.run(stopping.cancel, self.id, reason)) is WorkflowState.RUNNING
        )

    async def retry(self) -> int:
        """Try the steps again that did not complete, and go on; how many. Raises TaskNotFound."""
        store = await self._client.store()
        return self._known(await store.run(reopening.retry, self.id, control.move_back))

    def state_sync(self) -> WorkflowState:
        """``state`` without an event loop."""
        return self._ending_sync().state

    def result_sync(self, timeout: Duration = 60) -> R:
        """``result`` without an event loop."""
        limit = parse_duration(timeout, name="timeout")
        end = time.monotonic() + limit.total_seconds()
        for pause in _pauses():
            ending = self._ending_sync()
            if ending.state is not WorkflowState.RUNNING:
                return self._value(ending)
            left = end - time.monotonic()
            if left <= 0:
                self._too_late(format_duration(limit))
            time.sleep(min(pause, left))
        raise AssertionError("the pauses do not end")

    def steps_sync(self) -> Sequence[inspect.StepView]:
        """``steps`` without an event loop."""
        return self._known(self._client.direct().run(inspect.graph, self.id)).steps

    def cancel_sync(self, reason: str = "cancelled by its producer") -> bool:
        """``cancel`` without an event loop."""
        was = self._client.direct().run(stopping.cancel, self.id, reason)
        return self._known(was) is WorkflowState.RUNNING

    def retry_sync(self) -> int:
        """``retry`` without an event loop."""
        direct = self._client.direct()
        return self._known(direct.run(reopening.retry, self.id, control.move_back))

    async def _ending(self) -> inspect.WorkflowEnding:
        return self._known(await (await self._client.store()).run(inspect.ending_of, self.id))

    def _ending_sync(self) -> inspect.WorkflowEnding:
        return self._known(self._client.direct().run(inspect.ending_of, self.id))

    def _known(self, found: Found | None) -> Found:
        if found is None:
            raise TaskNotFound(f"there is no workflow {self.id}, or its retention is over.")
        return found

    def _value(self, ending: inspect.WorkflowEnding) -> R:
        if ending.state is WorkflowState.COMPLETED:
            return cast(R, ending.value)
        raise TaskFailed(
            f"workflow {self.id} {ending.state}: {ending.error or 'no reason is known'}",
            state=ending.state,
            error=ending.error,
            traceback=None,
        )

    def _too_late(self, waited: str) -> NoReturn:
        raise ResultTimeout(f"workflow {self.id} is still running after {waited}; it goes on.")


def _pauses() -> Iterator[float]:
    """Look often at first, for many workflows are short."""
    pause = 0.01
    while True:
        yield pause
        pause = min(pause * 1.5, 0.5)
