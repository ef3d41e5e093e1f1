"""Everything at a glance, for ``celers top``: one look, whose parts are bounded or say how long.

The queues are counted, which reads every live task once; whoever looks again and again leaves
pauses that grow with the time a look takes. All else reads the newest rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from celers_worker.core.figures import Figures, Grouping
from celers_worker.store import figures, sql, statements, survey
from celers_worker.store.schema import dead_letters, tasks
from celers_worker.store.survey import QueueView, WorkerView
from celers_worker.store.transaction import Transaction

#: Rates and spans are those of the tasks that ended within this, of the newest so many.
WINDOW = timedelta(minutes=1)
_SAMPLE = 2_000
#: Dead tasks that are looked at: the newest.
_DEAD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTask:
    """A task that runs, for so many seconds."""

    id: UUID
    name: str
    queue: str
    worker: str | None
    seconds: float
    attempt: int
    cancelling: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedKind:
    """Dead tasks of one name that died of one kind of error, among the newest."""

    name: str
    error: str
    count: int
    newest: UUID
    last_failed_at: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is, at one moment."""

    queues: Sequence[QueueView]
    workers: Sequence[WorkerView]
    running: Sequence[RunningTask]
    failures: Sequence[FailedKind]
    passages: Sequence[Figures]
    """Of the last minute, by queue."""


def overview(transaction: Transaction, *, rows: int = 50) -> Overview:
    """Look at everything; of what runs, the *rows* that run longest."""
    report = figures.report(transaction, WINDOW, by=Grouping.QUEUE, sample=_SAMPLE)
    return Overview(
        queues=survey.list_queues(transaction),
        workers=survey.list_workers(transaction),
        running=_running(transaction, rows),
        failures=_failures(transaction),
        passages=report.groups,
    )


def _running(transaction: Transaction, rows: int) -> list[RunningTask]:
    found = transaction.connection.execute(
        select(
            tasks.c.id,
            tasks.c.task_name,
            tasks.c.queue_name,
            tasks.c.worker_id,
            tasks.c.retry_count,
            tasks.c.crash_count,
            tasks.c.cancel_requested_at,
            sql.seconds_since(tasks.c.started_at).label("seconds"),
        )
        .where(tasks.c.state == statements.PROCESSING)
        .order_by(tasks.c.started_at)
        .limit(rows)
    )
    return [
        RunningTask(
            id=row.id,
            name=row.task_name,
            queue=row.queue_name,
            worker=row.worker_id,
            seconds=max(float(row.seconds or 0), 0.0),
            attempt=row.retry_count + row.crash_count + 1,
            cancelling=row.cancel_requested_at is not None,
        )
        for row in found
    ]


def _failures(transaction: Transaction) -> list[FailedKind]:
    rows = transaction.connection.execute(
        select(
            dead_letters.c.id,
            dead_letters.c.task_name,
            dead_letters.c.error_message,
            dead_letters.c.reason,
            dead_letters.c.failed_at,
        )
        .order_by(dead_letters.c.failed_at.desc())
        .limit(_DEAD)
    )
    found: dict[tuple[str, str], FailedKind] = {}
    for row in rows:
        message = (row.error_message or row.reason or "").strip().split("\n")[0]
        key = row.task_name, message.partition(":")[0][:100]
        known = found.get(key)
        found[key] = FailedKind(
            name=row.task_name,
            error=key[1],
            count=1 if known is None else known.count + 1,
            newest=row.id if known is None else known.newest,
            last_failed_at=row.failed_at if known is None else known.last_failed_at,
            message=message if known is None else known.message,
        )
    return list(found.values())
