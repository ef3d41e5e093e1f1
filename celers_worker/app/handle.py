"""A handle on an enqueued task: ask how it is, wait for it, cancel it. Works across processes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import msgspec

from celers_worker.app import results
from celers_worker.app.client import Client
from celers_worker.app.ended import TaskStatus
from celers_worker.core.changes import CHANGEABLE, Changes
from celers_worker.core.duration import Duration
from celers_worker.core.errors import TaskNotFound
from celers_worker.core.task import TaskState
from celers_worker.store import change, control, inspect
from celers_worker.store.results import forget

R = TypeVar("R")


class EnqueuedTask(msgspec.Struct, Generic[R], frozen=True, eq=False, gc=False):
    """A task by its id. ``existing``: a live task had the unique key, and this is that one.

    A struct that the collector leaves alone, like NewTask: there are as many.
    """

    id: UUID
    _client: Client
    existing: bool = False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EnqueuedTask):
            return NotImplemented
        return (self.id, self.existing) == (other.id, other.existing)

    def __hash__(self) -> int:
        return hash((self.id, self.existing))

    def __repr__(self) -> str:
        return f"EnqueuedTask(id={self.id!r}, existing={self.existing!r})"

    async def state(self) -> TaskState:
        """Where the task is in its life. Raises TaskNotFound."""
        return _state_of((await results.check_status(self._client, [self.id]))[self.id])

    async def result(self, timeout: Duration = 60) -> R:
        """Wait until the task has ended and return what its handler returned.

        Raises TaskFailed if it ended otherwise (or the handler's own exception, if it declares that
        with ``raises``), ResultTimeout if it has not ended in time (it goes on), TaskNotFound if
        there is no such task (any more).
        """
        return cast(R, await results.result(self._client, self.id, timeout))

    async def forget(self) -> bool:
        """Delete what is kept of the task's result; the task itself stays. False: nothing was."""
        store = await self._client.store()
        return bool(await store.run(forget, [self.id]))

    async def cancel(self, reason: str = "cancelled by its producer") -> bool:
        """Cancel the task; a running one is asked to stop. False: it has ended already."""
        store = await self._client.store()
        done = await store.run(control.cancel, inspect.TaskFilter(ids=[self.id]), reason)
        return bool(done.cancelled or done.requested)

    def state_sync(self) -> TaskState:
        """``state`` without an event loop."""
        return _state_of(results.check_status_sync(self._client, [self.id])[self.id])

    def result_sync(self, timeout: Duration = 60) -> R:
        """``result`` without an event loop."""
        return cast(R, results.result_sync(self._client, self.id, timeout))

    def forget_sync(self) -> bool:
        """``forget`` without an event loop."""
        return bool(self._client.direct().run(forget, [self.id]))

    def cancel_sync(self, reason: str = "cancelled by its producer") -> bool:
        """``cancel`` without an event loop."""
        wanted = inspect.TaskFilter(ids=[self.id])
        done = self._client.direct().run(control.cancel, wanted, reason)
        return bool(done.cancelled or done.requested)

    async def reschedule(
        self, *, delay: Duration | None = None, at: datetime | None = None
    ) -> bool:
        """Change when the task is due: ``delay`` from now, or ``at``, an aware datetime.

        False: it runs or has ended, and was left alone. Raises TaskNotFound.
        """
        return await self._change(Changes(delay=delay, at=at))

    async def update(
        self,
        *,
        priority: int | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Change a waiting task; ``metadata`` is laid over its own, None as a value removes a key.

        False: it runs or has ended, and was left alone. Raises TaskNotFound.
        """
        return await self._change(
            Changes(priority=priority, queue=queue, max_retries=max_retries, metadata=metadata)
        )

    async def retry(self) -> bool:
        """Make the task due now; a dead, cancelled or expired one starts anew, under its id.

        False: it runs or has completed, and was left alone. Raises TaskNotFound, and CelersError
        if a live task has its unique key.
        """
        return self._retried(await (await self._client.store()).run(control.retry, self.id))

    def reschedule_sync(self, *, delay: Duration | None = None, at: datetime | None = None) -> bool:
        """``reschedule`` without an event loop."""
        return self._change_sync(Changes(delay=delay, at=at))

    def update_sync(
        self,
        *,
        priority: int | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """``update`` without an event loop."""
        return self._change_sync(
            Changes(priority=priority, queue=queue, max_retries=max_retries, metadata=metadata)
        )

    def retry_sync(self) -> bool:
        """``retry`` without an event loop."""
        return self._retried(self._client.direct().run(control.retry, self.id))

    async def _change(self, changes: Changes) -> bool:
        store = await self._client.store()
        return self._known(await store.run(change.change, self.id, changes)) in CHANGEABLE

    def _change_sync(self, changes: Changes) -> bool:
        found = self._client.direct().run(change.change, self.id, changes)
        return self._known(found) in CHANGEABLE

    def _retried(self, found: TaskState | None) -> bool:
        left_alone = (TaskState.PROCESSING, TaskState.COMPLETED, TaskState.BLOCKED)
        return self._known(found) not in left_alone

    def _known(self, state: TaskState | None) -> TaskState:
        if state is None:
            raise TaskNotFound(f"there is no task {self.id}, or its retention is over.")
        return state


def _state_of(status: TaskStatus) -> TaskState:
    if status.state is None:
        raise TaskNotFound(f"there is no task {status.id}, or its retention is over.")
    return status.state
