"""What the worker that runs a task offers to its handler, through the context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from celers_worker.core.limit import Limit
from celers_worker.core.progress import Progress
from celers_worker.core.task import Enqueued, NewTask

if TYPE_CHECKING:
    from celers_worker.core.context import Context
    from celers_worker.core.outcome import Completed


class HasTask(Protocol):
    """A task that is not enqueued yet: what ``DeclaredTask.call`` returns."""

    @property
    def task(self) -> NewTask:
        """The task."""


class Host(Protocol):
    """The worker, as a handler sees it."""

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the application's lifespan has opened."""

    def transaction(self, context: Context) -> AbstractAsyncContextManager[Any]:
        """A transaction of the worker's database that ends the task; see ``Context``."""

    def transaction_sync(self, context: Context) -> AbstractContextManager[Any]:
        """The same for a handler in a thread."""

    def completion(self, context: Context, result: Any) -> Completed:
        """The outcome of a run that ends with *result*. Raises PayloadError."""

    async def enqueue(self, context: Context, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """Add tasks, in the transaction that is open if there is one."""

    def enqueue_sync(self, context: Context, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """The same for a handler in a thread."""

    async def progress(self, context: Context, progress: Progress) -> None:
        """Tell people how far the run is, now and then."""

    def progress_sync(self, context: Context, progress: Progress) -> None:
        """The same for a handler in a thread."""

    async def take(self, context: Context, limit: Limit) -> float | None:
        """Take room under *limit* for this run; else the seconds to wait, 0 if nobody knows."""

    def log(self, context: Context) -> Any:
        """A logger whose lines name the task."""

    def keep_line(self, context: Context, level: str, text: str) -> None:
        """Keep a line of the handler's log with its task; from any thread."""
