"""What handlers wrote to their logs, kept with their tasks.

A row belongs to one run, by its lease, so a late write changes nothing but its own, and the same
written twice is written once: no lease need be held for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Integer, bindparam, select

from celers_worker.core.run_log import Written
from celers_worker.core.task import Task
from celers_worker.store import sql
from celers_worker.store.log_table import run_logs
from celers_worker.store.transaction import Transaction
from celers_worker.store.types import Id
from celers_worker.store.values import chunks

_KEEP = sql.insert_or_replace(run_logs).values(
    task_id=bindparam("of_task", type_=Id()),
    lease=bindparam("with_lease", type_=BigInteger),
    attempt=bindparam("number", type_=Integer),
    worker_id=bindparam("worker", type_=run_logs.c.worker_id.type),
    content=bindparam("json", type_=run_logs.c.content.type),
    updated_at=sql.now(),
)


@dataclass(frozen=True, slots=True)
class KeptLog:
    """The log of one run."""

    attempt: int
    lease: int
    worker: str | None
    written: Written
    updated_at: datetime


def keep(transaction: Transaction, worker: str, logs: Sequence[tuple[Task, Written]]) -> None:
    """Write the logs of runs, each whole, in the place of what was kept of it before."""
    for chunk in chunks(logs):
        transaction.connection.execute(
            _KEEP,
            [
                {
                    "of_task": task.id,
                    "with_lease": task.lease,
                    "number": task.attempt,
                    "worker": worker,
                    "json": msgspec.json.encode(written),
                }
                for task, written in chunk
            ],
        )


def logs_of(transaction: Transaction, task_id: UUID) -> list[KeptLog]:
    """The logs of a task's runs, in their order."""
    rows = transaction.connection.execute(
        select(run_logs).where(run_logs.c.task_id == task_id).order_by(run_logs.c.lease)
    )
    return [
        KeptLog(
            row.attempt,
            row.lease,
            row.worker_id,
            msgspec.json.decode(row.content, type=Written),
            row.updated_at,
        )
        for row in rows
    ]
