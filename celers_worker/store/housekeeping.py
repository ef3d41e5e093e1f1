"""What a person or the janitor tidies up: rows of foreign workers, and what has ended.

Long work comes in batches, each one transaction: a function handles up to ``limit`` rows and says
how many it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select

from celers_worker.core.task import ARCHIVED, TaskState
from celers_worker.store import sql, statements
from celers_worker.store.inspect import TaskFilter, conditions
from celers_worker.store.schema import archive, attempts, dead_letters, results, run_logs, tasks
from celers_worker.store.transaction import Transaction

#: What CeleRS's own workers leave in the table of live tasks, where ours keep nothing that ended.
_ENDED = (TaskState.COMPLETED, TaskState.CANCELLED, TaskState.EXPIRED, TaskState.FAILED)


def archive_ended(transaction: Transaction, age: timedelta, *, limit: int = 1_000) -> int:
    """Move tasks that ended longer than *age* ago out of the live ones; every row is kept.

    Those that failed go to the dead letter queue, the others to the archive.
    """
    rows = transaction.connection.execute(
        select(tasks.c.id, tasks.c.state)
        .where(*_ended_before(age))
        .order_by(tasks.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    failed = [row.id for row in rows if row.state == TaskState.FAILED]
    others = [row.id for row in rows if row.state != TaskState.FAILED]
    ended_at = func.coalesce(tasks.c.completed_at, sql.now())
    if failed:
        _move(
            transaction,
            dead_letters,
            failed,
            completed_at=ended_at,
            failed_at=ended_at,
            reason=sql.words("failed at a foreign worker"),
        )
    if others:
        _move(transaction, archive, others, completed_at=ended_at)
    return len(rows)


def count_ended(transaction: Transaction, age: timedelta) -> int:
    """How many tasks ``archive_ended`` would move."""
    query = select(func.count()).select_from(tasks).where(*_ended_before(age))
    return int(transaction.connection.execute(query).scalar_one())


def purge(transaction: Transaction, wanted: TaskFilter, *, limit: int = 1_000) -> int:
    """Delete up to *limit* tasks that have ended, with their results, failed attempts and logs.

    Live tasks are left alone, whatever *wanted* says.
    """
    deleted = 0
    for table in _homes(wanted):
        if deleted >= limit:
            break
        ids = list(
            transaction.connection.execute(
                select(table.c.id)
                .where(*conditions(table, wanted))
                .limit(limit - deleted)
                .with_for_update(skip_locked=True)
            ).scalars()
        )
        if ids:
            transaction.connection.execute(delete(table).where(table.c.id.in_(ids)))
            for beside in (results, attempts, run_logs):
                transaction.connection.execute(delete(beside).where(beside.c.task_id.in_(ids)))
        deleted += len(ids)
    return deleted


def count_purged(transaction: Transaction, wanted: TaskFilter) -> int:
    """How many tasks ``purge`` would delete."""
    return sum(
        transaction.connection.execute(
            select(func.count()).select_from(table).where(*conditions(table, wanted))
        ).scalar_one()
        for table in _homes(wanted)
    )


def _homes(wanted: TaskFilter) -> list[Any]:
    states = frozenset(wanted.states)
    homes: list[Any] = []
    if not states or states & ARCHIVED:
        homes.append(archive)
    if not states or TaskState.FAILED in states:
        homes.append(dead_letters)
    return homes


def _ended_before(age: timedelta) -> list[ColumnElement[bool]]:
    ended_at = func.coalesce(tasks.c.completed_at, tasks.c.created_at)
    return [
        tasks.c.state.in_([state.value for state in _ENDED]),
        ended_at < sql.later(-age.total_seconds()),
    ]


def _move(transaction: Transaction, target: Any, ids: Sequence[UUID], **changed: Any) -> None:
    statement = statements.move(tasks, target, **changed)
    statement.select = statement.select.where(tasks.c.id.in_(ids))  # type: ignore[union-attr]  # from_select set it
    transaction.connection.execute(statement)
    transaction.delete(ids)
