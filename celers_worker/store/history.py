"""The audit trail: which queues have one, and what is on it of a task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text

from celers_worker.core.errors import Unavailable
from celers_worker.core.task import TaskState
from celers_worker.store import history_triggers, sql
from celers_worker.store.schema import audited, history
from celers_worker.store.transaction import Transaction

_LOCK_NAME = "celers_history"
#: How long to wait for the writers of tasks, and for somebody who switches too, in seconds.
_PATIENCE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a task, by the database's clock.

    ``was`` is the state before, None if that was before the trail began. ``lease`` and ``worker``
    are those of the run that began or ended here.
    """

    task_id: UUID
    at: datetime
    was: TaskState | None
    state: TaskState
    worker: str | None
    lease: int
    queue: str
    reason: str | None


def switch_on(transaction: Transaction, queue: str) -> bool:
    """Let the tasks of *queue* leave a trail from now on; False if they do already.

    Raises Refused where the database does not let this user make triggers.
    """
    with _alone(transaction.connection) as connection:
        # The triggers first: on MySQL to make one commits, and one that fails must leave no queue.
        history_triggers.create(connection)
        if queue in audited_queues(transaction):
            return False
        connection.execute(
            insert(audited).values(name=bindparam("of_queue"), since=sql.now()),
            {"of_queue": queue},
        )
        return True


def switch_off(transaction: Transaction, queue: str) -> bool:
    """End the trail of *queue*; False if it had none. What is on it stays for its retention."""
    with _alone(transaction.connection) as connection:
        removed = connection.execute(delete(audited).where(audited.c.name == queue))
        left = connection.execute(select(func.count()).select_from(audited)).scalar_one()
        if not left:
            history_triggers.drop(connection)
        return removed.rowcount > 0


def audited_queues(transaction: Transaction) -> dict[str, datetime]:
    """The queues that have a trail, with since when."""
    rows = transaction.connection.execute(select(audited).order_by(audited.c.name))
    return {row.name: row.since for row in rows}


def transitions_of(transaction: Transaction, task_id: UUID) -> list[Transition]:
    """What is on the trail of a task, in the order it happened."""
    rows = transaction.connection.execute(
        select(history).where(history.c.task_id == task_id).order_by(history.c.id)
    )
    found: list[Transition] = []
    for row in rows:
        found.append(_transition(row, was=found[-1].state if found else None))
    return found


def newest_of(transaction: Transaction, queue: str, *, limit: int) -> list[Transition]:
    """The last changes of tasks of *queue*, the newest first; what each was before is not asked."""
    rows = transaction.connection.execute(
        select(history)
        .where(history.c.queue_name == queue)
        .order_by(history.c.id.desc())
        .limit(limit)
    )
    return [_transition(row, was=None) for row in rows]


def prune(transaction: Transaction, age: timedelta, *, limit: int = 1_000) -> int:
    """Delete up to *limit* rows of the trail that are older than *age*."""
    # Its ids rise with time: the first ones are the oldest, and no index on time is needed.
    past = (history.c.timestamp < sql.later(-age.total_seconds())).label("past")
    first = select(history.c.id, past).order_by(history.c.id).limit(limit)
    ids = [row.id for row in transaction.connection.execute(first) if row.past]
    if ids:
        transaction.connection.execute(delete(history).where(history.c.id.in_(ids)))
    return len(ids)


def _transition(row: Any, *, was: TaskState | None) -> Transition:
    return Transition(
        task_id=row.task_id,
        at=row.timestamp,
        was=was,
        state=TaskState(row.state),
        worker=row.worker_id,
        lease=row.lease,
        queue=row.queue_name,
        reason=row.message or None,
    )


@contextmanager
def _alone(connection: Connection) -> Iterator[Connection]:
    """Let nobody else switch meanwhile: one who ends the last trail takes the triggers away."""
    match connection.dialect.name:
        case "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}s'"))
            connection.execute(text("LOCK TABLE celers_history_queues IN EXCLUSIVE MODE"))
            yield connection
        case "sqlite":  # its transactions have the file to themselves
            yield connection
        case _:
            # To make or drop a trigger commits, so the lock is the session's.
            connection.execute(text(f"SET SESSION lock_wait_timeout = {_PATIENCE}"))
            held = connection.execute(select(func.get_lock(_LOCK_NAME, _PATIENCE))).scalar()
            if held != 1:
                raise Unavailable("somebody else switches an audit trail. Try again in a moment.")
            try:
                yield connection
            finally:
                connection.execute(select(func.release_lock(_LOCK_NAME)))
