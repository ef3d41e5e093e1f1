"""What an application may ask about its tasks, queues and workers: ``app.inspect``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from celers_worker.app.client import Client
from celers_worker.core.duration import Duration, parse_duration
from celers_worker.core.errors import TaskNotFound
from celers_worker.core.figures import Grouping
from celers_worker.core.task import TaskState
from celers_worker.store import figures, history, inspect, survey
from celers_worker.store.figures import Report
from celers_worker.store.history import Transition
from celers_worker.store.inspect import TaskFilter, TaskView
from celers_worker.store.survey import QueueView, WorkerView
from celers_worker.store.transaction import Transaction

R = TypeVar("R")


class Inspection:
    """Reads of what the command line shows; each is one transaction."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def task(self, task_id: UUID) -> TaskView:
        """One task, wherever it is kept. Raises TaskNotFound."""
        view = await self._run(lambda transaction: inspect.task(transaction, task_id))
        if view is None:
            raise TaskNotFound(f"there is no task {task_id}, or its retention is over.")
        return view

    async def tasks(
        self, *, limit: int = 50, after: UUID | None = None, **wanted: Any
    ) -> list[TaskView]:
        """Tasks, the newest first; *after* goes on behind the last of an earlier page.

        *wanted* is what ``celers task list`` filters by: ``state``, ``queue``, ``name``,
        ``worker``, ``fingerprint``, ``unique_key``, ``text``, ``older_than``, ``newer_than``,
        ``scheduled`` and ``metadata``.
        """
        chosen = _filter(wanted)
        return await self._run(
            lambda transaction: inspect.list_tasks(transaction, chosen, limit=limit, before=after)
        )

    async def count(self, **wanted: Any) -> int:
        """How many tasks *wanted* means, as in ``tasks``."""
        chosen = _filter(wanted)
        return await self._run(lambda transaction: inspect.count_tasks(transaction, chosen))

    async def history(self, task_id: UUID) -> list[Transition]:
        """What is on the audit trail of a task; nothing if its queue has none."""
        return await self._run(lambda transaction: history.transitions_of(transaction, task_id))

    async def queues(self) -> list[QueueView]:
        """The queues in numbers."""
        return await self._run(survey.list_queues)

    async def workers(self) -> list[WorkerView]:
        """The workers with live leases, and those lost within the last hour."""
        return await self._run(survey.list_workers)

    async def figures(self, window: Duration = "1h", *, by: str | None = None) -> Report:
        """How the tasks that ended within *window* went; *by* "name" or "queue"."""
        span = parse_duration(window, name="window")
        grouping = None if by is None else Grouping(by)
        return await self._run(lambda transaction: figures.report(transaction, span, by=grouping))

    async def _run(self, operation: Callable[[Transaction], R]) -> R:
        return await (await self._client.store()).run(operation)


def _filter(wanted: Mapping[str, Any]) -> TaskFilter:
    given = dict(wanted)
    if (state := given.pop("state", None)) is not None:
        given["states"] = [TaskState(state)]
    for key in ("older_than", "newer_than"):
        if (age := given.get(key)) is not None:
            given[key] = age if isinstance(age, timedelta) else parse_duration(age, name=key)
    return TaskFilter(**given)
