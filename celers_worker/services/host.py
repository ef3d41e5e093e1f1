"""Host: what this worker offers to its handlers through their contexts."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any

from celers_worker.core.context import Context
from celers_worker.core.errors import LeaseLost, StoreError
from celers_worker.core.limit import Limit
from celers_worker.core.outcome import Completed
from celers_worker.core.progress import Progress
from celers_worker.core.task import Enqueued, NewTask
from celers_worker.services.completions import Completions
from celers_worker.services.run_logs import RunLogs
from celers_worker.store import Store, borrowed, limits
from celers_worker.store.progress import tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What the assembly brings from above and beside the services."""

    enqueue: Callable[[Sequence[NewTask]], Awaitable[list[Enqueued]]]
    enqueue_sync: Callable[[Sequence[NewTask]], list[Enqueued]]
    log: Callable[[Context], Any]
    resources: Mapping[str, Any] = field(default_factory=dict)


class WorkerHost:
    """Passes on what a handler asks its context for."""

    def __init__(
        self, store: Store, completions: Completions, logs: RunLogs, offers: Offers
    ) -> None:
        self._store = store
        self._completions = completions
        self._logs = logs
        self._offers = offers

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the application's lifespan has opened."""
        return self._offers.resources

    def transaction(self, context: Context) -> AbstractAsyncContextManager[Any]:
        """See ``Context.transaction``."""
        return self._completions.transaction(context)

    def transaction_sync(self, context: Context) -> AbstractContextManager[Any]:
        """See ``Context.transaction_sync``."""
        return self._completions.transaction_sync(context)

    def completion(self, context: Context, result: Any) -> Completed:
        """The outcome of a run that ends with *result*. Raises PayloadError."""
        return self._completions.completion(context, result)

    async def enqueue(self, context: Context, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """In the open transaction, which workers see when it is committed; else at once."""
        if context.session is None:
            return await self._offers.enqueue(tasks)
        return await borrowed.run(context.session, lambda transaction: transaction.enqueue(tasks))

    def enqueue_sync(self, context: Context, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """The same for a handler in a thread."""
        if context.session is None:
            return self._offers.enqueue_sync(tasks)
        return borrowed.run_sync(context.session, lambda transaction: transaction.enqueue(tasks))

    async def progress(self, context: Context, progress: Progress) -> None:
        """Write it unless it was written just now. That it cannot be is no reason to fail."""
        if self._is_due(context, progress):
            with suppress(StoreError):
                await self._store.run(tell, context.task, progress)

    def progress_sync(self, context: Context, progress: Progress) -> None:
        """The same for a handler in a thread."""
        if self._is_due(context, progress):
            with suppress(StoreError, LeaseLost):
                self._completions.on_loop(self._store.run(tell, context.task, progress))

    async def take(self, context: Context, limit: Limit) -> float | None:
        """Take room under *limit* for this run; else the seconds to wait, 0 if nobody knows."""
        return await self._store.run(limits.take, limit, context.task)

    def _is_due(self, context: Context, progress: Progress) -> bool:
        now = time.monotonic()
        told_at = getattr(context, "told_at", float("-inf"))
        if context.session is not None or not progress.is_due(told_at, now):
            return False
        context.told_at = now
        return True

    def log(self, context: Context) -> Any:
        """A logger whose lines name the task."""
        return self._offers.log(context)

    def keep_line(self, context: Context, level: str, text: str) -> None:
        """Keep a line of the handler's log with its task; from any thread."""
        self._logs.add(context, level, text)
