"""What runs right now: reads for people, over the tasks that are processing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from celers_worker.store import sql, statements
from celers_worker.store.schema import tasks
from celers_worker.store.transaction import Transaction

#: So many are listed at most.
MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTask:
    """A task that a worker runs; ``age`` is the time since its start, in seconds."""

    id: UUID
    name: str
    queue: str
    worker: str | None
    attempt: int
    started_at: datetime | None
    age: float
    cancelling: bool


def tasks_of(transaction: Transaction, worker: str) -> list[RunningTask]:
    """The tasks that *worker* holds, the oldest first. Reads every task that is processing."""
    return _running(transaction, tasks.c.worker_id == worker)


def tasks_at(transaction: Transaction, workers: Sequence[str]) -> list[RunningTask]:
    """The tasks that these *workers* hold, the oldest first."""
    return _running(transaction, tasks.c.worker_id.in_(workers))


def oldest(transaction: Transaction, limit: int) -> list[RunningTask]:
    """The tasks that run longest, whoever holds them."""
    return _running(transaction, limit=limit)


def _running(transaction: Transaction, *conditions: Any, limit: int = MOST) -> list[RunningTask]:
    rows = transaction.connection.execute(
        select(
            tasks.c.id,
            tasks.c.task_name,
            tasks.c.queue_name,
            tasks.c.worker_id,
            tasks.c.retry_count,
            tasks.c.crash_count,
            tasks.c.started_at,
            tasks.c.cancel_requested_at,
            sql.seconds_since(tasks.c.started_at).label("age"),
        )
        .where(tasks.c.state == statements.PROCESSING, *conditions)
        .order_by(tasks.c.started_at, tasks.c.id)
        .limit(limit)
    )
    return [
        RunningTask(
            id=row.id,
            name=row.task_name,
            queue=row.queue_name,
            worker=row.worker_id,
            attempt=row.retry_count + row.crash_count + 1,
            started_at=row.started_at,
            age=max(float(row.age or 0.0), 0.0),
            cancelling=row.cancel_requested_at is not None,
        )
        for row in rows
    ]
