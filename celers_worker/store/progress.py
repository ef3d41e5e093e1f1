"""Progress of running tasks: one row for each that tells of any, beside the hot table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Double, bindparam, exists, select, update

from celers_worker.core.progress import Progress
from celers_worker.core.task import Task
from celers_worker.store import sql
from celers_worker.store.schema import progress, tasks
from celers_worker.store.transaction import Transaction
from celers_worker.store.types import Id

_HELD = (
    tasks.c.id == bindparam("of_task", type_=Id()),
    tasks.c.lease == bindparam("with_lease", type_=BigInteger),
)
_TOLD: dict[str, Any] = {
    "lease": bindparam("with_lease", type_=BigInteger),
    "done": bindparam("so_much", type_=Double),
    "total": bindparam("of_all", type_=Double),
    "message": bindparam("words", type_=progress.c.message.type),
    "updated_at": sql.now(),
}
_UPDATE = (
    update(progress)
    .where(progress.c.task_id == bindparam("of_task", type_=Id()), exists().where(*_HELD))
    .values(**_TOLD)
)
_INSERT = sql.insert_ignore(progress).from_select(
    ["task_id", *_TOLD],
    select(tasks.c.id, *_TOLD.values()).where(*_HELD),
    include_defaults=False,
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a run said last, and when."""

    progress: Progress
    lease: int
    at: datetime


def tell(transaction: Transaction, task: Task, told: Progress) -> None:
    """Keep how far *task* is, if its lease is still held; from an older one nothing changes."""
    values = {
        "of_task": task.id,
        "with_lease": task.lease,
        "so_much": told.done,
        "of_all": told.total,
        "words": told.message,
    }
    if not transaction.connection.execute(_UPDATE, values).rowcount:
        transaction.connection.execute(_INSERT, values)


def progress_of(transaction: Transaction, task_id: UUID) -> Told | None:
    """What a task's runs said last."""
    row = transaction.connection.execute(
        select(progress).where(progress.c.task_id == task_id)
    ).first()
    if row is None:
        return None
    return Told(Progress(row.done, row.total, row.message), row.lease, row.updated_at)
