"""Room under a limit that all workers share; each function is one transaction.

A task has room for as long as it runs under the lease with which it asked. So there is nothing to
give back, and nothing is lost with a worker that dies: its tasks count until they are reaped.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import (
    Delete,
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    select,
    update,
)

from celers_worker.core.limit import Limit
from celers_worker.core.task import Task
from celers_worker.store import sql
from celers_worker.store.limit_tables import limit_holders, limits
from celers_worker.store.schema import tasks
from celers_worker.store.statements import PROCESSING
from celers_worker.store.transaction import Transaction
from celers_worker.store.types import Id
from celers_worker.store.values import chunks

#: A limit that nobody met for so long is forgotten, in seconds.
_FORGOTTEN = 86_400
#: The clock of a statement is not quite that of the one before, in seconds.
_SLACK = 0.000_5

ADD_LIMIT: Insert = sql.insert_ignore(limits).values(name=bindparam("of_name"))
#: Who has the lock, and how many seconds ago the next run might have started.
LOCK_LIMIT: Select[Any] = (
    select(sql.seconds_since(limits.c.free_at).label("ago"))
    .where(limits.c.name == bindparam("of_name"))
    .with_for_update()
)
BOOK_LIMIT: Update = (
    update(limits)
    .where(limits.c.name == bindparam("of_name"))
    .values(free_at=sql.later(bindparam("until")))
)
_running = limit_holders.outerjoin(
    tasks,
    and_(
        tasks.c.id == limit_holders.c.task_id,
        tasks.c.lease == limit_holders.c.lease,
        tasks.c.state == PROCESSING,
    ),
)
HOLDERS: Select[Any] = (
    select(limit_holders.c.task_id, tasks.c.id.label("runs"))
    .select_from(_running)
    .where(limit_holders.c.limit_name == bindparam("of_name"))
)
HOLD: Insert = sql.insert_ignore(limit_holders).values(
    limit_name=bindparam("of_name"),
    task_id=bindparam("of_task", type_=Id()),
    lease=bindparam("with_lease"),
)
LET_GO: Delete = delete(limit_holders).where(
    limit_holders.c.limit_name == bindparam("of_name"),
    limit_holders.c.task_id.in_(bindparam("ids", expanding=True)),
)
LEFT_BEHIND: Select[Any] = (
    select(limit_holders.c.limit_name)
    .select_from(_running)
    .where(tasks.c.id.is_(None))
    .limit(bindparam("room"))
)
UNUSED_LIMITS: Select[Any] = (
    select(limits.c.name)
    .outerjoin(limit_holders, limit_holders.c.limit_name == limits.c.name)
    .where(limits.c.free_at < sql.later(-_FORGOTTEN), limit_holders.c.task_id.is_(None))
    .limit(bindparam("room"))
)
FORGET_LIMITS: Delete = delete(limits).where(
    limits.c.name.in_(bindparam("names", expanding=True)),
    limits.c.free_at < sql.later(-_FORGOTTEN),
)


def take(transaction: Transaction, limit: Limit, task: Task) -> float | None:
    """Give *task*, which runs, room under *limit*; None: it has it.

    Else the seconds until its rate allows a run, 0 if it is others that run. Who asks twice under
    one lease has room once, and pays the rate twice.
    """
    named = {"of_name": limit.name}
    transaction.connection.execute(ADD_LIMIT, named)
    locked = transaction.connection.execute(LOCK_LIMIT, named).first()
    if locked is None:  # forgotten in between: nobody else is there
        return 0.0
    ahead = max(-float(locked.ago), 0.0)
    if limit.concurrency is not None:
        others = _holders(transaction, limit.name) - {task.id}
        if len(others) >= limit.concurrency:
            return 0.0
    if limit.interval is not None:
        wait = ahead - limit.interval * (limit.burst - 1)
        if wait > _SLACK:
            return wait
        ahead += limit.interval
    # Also without a rate: it says that somebody was here.
    transaction.connection.execute(BOOK_LIMIT, {**named, "until": ahead})
    if limit.concurrency is not None:
        transaction.connection.execute(
            HOLD, {**named, "of_task": task.id, "with_lease": task.lease}
        )
    return None


def prune(transaction: Transaction, *, limit: int = 1_000) -> None:
    """Forget who holds no room any more, and limits that nobody met for a day."""
    left = transaction.connection.execute(LEFT_BEHIND, {"room": limit}).scalars()
    for name in sorted(set(left)):
        transaction.connection.execute(LOCK_LIMIT, {"of_name": name}).first()
        _holders(transaction, name)
    names = list(transaction.connection.execute(UNUSED_LIMITS, {"room": limit}).scalars())
    if names:
        transaction.connection.execute(FORGET_LIMITS, {"names": names})


def _holders(transaction: Transaction, name: str) -> set[UUID]:
    """Who runs with room under a limit whose lock is held; the others are forgotten."""
    rows = transaction.connection.execute(HOLDERS, {"of_name": name}).all()
    for gone in chunks([row.task_id for row in rows if row.runs is None]):
        transaction.connection.execute(LET_GO, {"of_name": name, "ids": gone})
    return {row.task_id for row in rows if row.runs is not None}
