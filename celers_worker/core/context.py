"""Context: what a handler is given of its task, its run and its worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celers_worker.core.errors import CelersError
from celers_worker.core.foreign import traceparent
from celers_worker.core.host import HasTask, Host
from celers_worker.core.limit import Limit
from celers_worker.core.progress import Progress
from celers_worker.core.run_log import RunLog
from celers_worker.core.task import Task

if TYPE_CHECKING:
    from celers_worker.core.outcome import Completed


class Context:
    """What a handler may ask for, by a parameter annotated ``Context``: its task and its fate."""

    __slots__ = (
        "_completion",
        "_heeded",
        "_host",
        "_log_lines",
        "_on_stop",
        "_session",
        "_stopped",
        "task",
        "told_at",
    )

    told_at: float
    """When its progress was last written, by the monotonic clock; not set before."""

    def __init__(self, task: Task, host: Host | None = None) -> None:
        self.task = task
        self._host = host
        self._stopped = False  # a thread may look at it while the loop sets it

    @property
    def queue(self) -> str:
        """The queue that the task came from."""
        return self.task.queue

    @property
    def attempt(self) -> int:
        """The number of this run, from 1."""
        return self.task.attempt

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this task: give it to services that can ignore repeats."""
        return str(self.task.id)

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that the producer gave with the task, in ``metadata``."""
        return traceparent(self.task.metadata)

    @property
    def stopped(self) -> bool:
        """Whether this run should end: cancelled, timed out, lease lost or worker stopping.

        Coroutines are cancelled anyway. A plain function cannot be interrupted, so one that runs
        long looks here from time to time.
        """
        if self._stopped:
            self._heeded = True
        return self._stopped

    @property
    def heeded(self) -> bool:
        """Whether the handler has seen that its run should end. For the worker."""
        return getattr(self, "_heeded", False)

    def stop(self) -> None:
        """Tell the handler that its run should end. Called by the worker."""
        self._stopped = True
        if (callback := getattr(self, "_on_stop", None)) is not None:  # a slot that few runs set
            callback()

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have *callback* called when the run should end. For the worker: one, and last."""
        self._on_stop: Callable[[], None] = callback

    # --- what the worker offers ---

    @property
    def log(self) -> Any:
        """A structlog logger whose lines name the task, and are kept with it.

        So is what is logged through structlog or the standard library while the handler runs.
        """
        return self._worker("log").log(self)

    @property
    def log_lines(self) -> RunLog | None:
        """What the handler has written to its log, if anything."""
        return getattr(self, "_log_lines", None)  # a slot that most runs never set

    @log_lines.setter
    def log_lines(self, lines: RunLog) -> None:
        self._log_lines = lines

    def keep_line(self, level: str, text: str) -> None:
        """Keep a line of the handler's log with the task. Called by what writes logs."""
        if self._host is not None:
            self._host.keep_line(self, level, text)

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the application's lifespan has opened, by name."""
        return self._worker("resources").resources

    async def progress(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell people how far the run is, for ``celers task show``; as often as you like.

        It is written once a second at most, and when all is done; inside ``transaction()`` never.
        """
        await self._worker("progress").progress(self, Progress(done, total, message))

    def progress_sync(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None:
        """``progress`` for a handler in a thread."""
        self._worker("progress_sync").progress_sync(self, Progress(done, total, message))

    async def take(self, limit: Limit) -> float | None:
        """Take room for this run under a limit of all workers; see ``Celers.limit``, which asks.

        Returns None when it has it; else the seconds to wait, 0 if nobody knows. There is nothing
        to give back: the room is free when the run is settled. Raises StoreError.
        """
        return await self._worker("take").take(self, limit)

    async def enqueue(self, *calls: HasTask) -> list[UUID]:
        """Add tasks made by ``call(…)`` and return their ids.

        Inside ``transaction()`` they are part of it.
        """
        tasks = [call.task for call in calls]
        added = await self._worker("enqueue").enqueue(self, tasks)
        return [one.id for one in added]

    def enqueue_sync(self, *calls: HasTask) -> list[UUID]:
        """``enqueue`` for a handler in a thread."""
        tasks = [call.task for call in calls]
        return [one.id for one in self._worker("enqueue").enqueue_sync(self, tasks)]

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A transaction in which this task ends: ``async with context.transaction() as session``.

        The session is a SQLAlchemy AsyncSession on the worker's database. When the block ends,
        its writes, what was enqueued with ``using(session)`` or ``context.enqueue``, and the
        completion of the task are committed at once, if this run still holds the task. An exception
        in the block undoes it all and is the run's. Raises LeaseLost if the task is not ours any
        more: nothing was written then. What the handler returns after the block is not kept; see
        ``complete``.
        """
        return self._worker("transaction").transaction(self)

    def transaction_sync(self) -> AbstractContextManager[Any]:
        """``transaction`` for a handler in a thread; the session is a SQLAlchemy Session."""
        return self._worker("transaction_sync").transaction_sync(self)

    def complete(self, result: Any) -> None:
        """Say inside ``transaction()`` what the task's result is. Raises PayloadError."""
        if self.session is None:
            raise CelersError(
                "context.complete() gives the result to context.transaction(), and none is open: "
                "call it inside the block, or return the result."
            )
        self._completion: Completed | None = self._worker("complete").completion(self, result)

    @property
    def completion(self) -> Completed | None:
        """What ``complete`` made of the result, if it was called."""
        return getattr(self, "_completion", None)  # a slot that most runs never set

    @property
    def session(self) -> Any:
        """The session of the transaction that is open, or None."""
        return getattr(self, "_session", None)

    @session.setter
    def session(self, session: Any) -> None:
        if session is not None:
            self._completion = None  # of a block before, which failed
        self._session = session

    def _worker(self, what: str) -> Host:
        if self._host is None:
            raise CelersError(
                f"context.{what} needs the worker that runs the task, and this context was made "
                "without one. In a test, run the task with celers_worker.testing.drain."
            )
        return self._host
