"""Host: what a context offers to its handler in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, NoReturn

from celers_worker.child.connection import Connection
from celers_worker.core import wire
from celers_worker.core.context import Context
from celers_worker.core.errors import CelersError
from celers_worker.core.limit import Limit
from celers_worker.core.outcome import Completed
from celers_worker.core.progress import Progress
from celers_worker.core.task import Enqueued, NewTask
from celers_worker.observe.logs import task_log

#: What a handler is told that enqueues by itself.
NO_DATABASE = (
    "this handler runs in a process of its own, which knows no database: "
    'enqueue with context.enqueue(other.call(…)), or declare it with runs="thread".'
)


class ChildHost:
    """Passes on to the worker what needs a database, and refuses what cannot be passed on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def resources(self) -> Mapping[str, Any]:
        """Refused: they are objects of another process."""
        _refuse("resources", "open what it needs in the handler or in its module")

    def transaction(self, context: Context) -> AbstractAsyncContextManager[Any]:
        """Refused: there is no connection."""
        _refuse("transaction()", "return the result, and write it from another task")

    def transaction_sync(self, context: Context) -> AbstractContextManager[Any]:
        """Refused: there is no connection."""
        _refuse("transaction_sync()", "return the result, and write it from another task")

    def completion(self, context: Context, result: Any) -> Completed:
        """Refused: it belongs to ``transaction``."""
        _refuse("complete()", "return the result")

    async def enqueue(self, context: Context, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """The worker adds them."""
        ids = await asyncio.wrap_future(self._connection.ask(tasks))
        return [Enqueued(task_id) for task_id in ids]

    def enqueue_sync(self, context: Context, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """The same for a plain function."""
        return [Enqueued(task_id) for task_id in self._connection.ask(tasks).result()]

    async def progress(self, context: Context, progress: Progress) -> None:
        """The worker writes it."""
        self.progress_sync(context, progress)

    def progress_sync(self, context: Context, progress: Progress) -> None:
        """The same for a plain function."""
        now = time.monotonic()
        if progress.is_due(getattr(context, "told_at", float("-inf")), now):
            context.told_at = now
            self._connection.send(wire.Told(progress.done, progress.total, progress.message))

    async def take(self, context: Context, limit: Limit) -> float | None:
        """Refused: a handler's limits are asked by the worker, before it is called here."""
        _refuse("take()", "declare the limit with permit=app.limit(…)")

    def log(self, context: Context) -> Any:
        """A logger whose lines name the task, and go where the worker's go."""
        return task_log(context)

    def keep_line(self, context: Context, level: str, text: str) -> None:
        """The worker keeps it with the task; from any thread."""
        self._connection.send(wire.Wrote(level, text))


def _refuse(what: str, instead: str) -> NoReturn:
    raise CelersError(
        f"context.{what} is the worker's own, and this handler runs in a process beside it: "
        f'{instead}, or declare the handler with runs="thread".'
    )
