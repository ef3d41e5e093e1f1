"""Changes of waiting tasks: priority, queue, retries, due time, metadata.

A task that runs or has ended is never touched. The row is locked, looked at and then written: a
worker's claim passes over it meanwhile, and one that came first is what we find.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update

from celers_worker.core.changes import CHANGEABLE, Changes
from celers_worker.core.task import TaskState
from celers_worker.store import inspect, sql
from celers_worker.store.inspect import TaskFilter, conditions
from celers_worker.store.schema import tasks
from celers_worker.store.transaction import Transaction
from celers_worker.store.types import Id


def change(transaction: Transaction, task_id: UUID, changes: Changes) -> TaskState | None:
    """Change a waiting task, and return the state it is in; None: there is no such task.

    It was changed if that state is one of CHANGEABLE, and was left alone otherwise.
    """
    row = transaction.connection.execute(_locked().where(tasks.c.id == task_id)).first()
    if row is None:
        view = inspect.task(transaction, task_id)
        return None if view is None else view.state
    state = TaskState(row.state)
    if state in CHANGEABLE:
        _write(transaction, [row], changes)
    return state


def change_many(
    transaction: Transaction,
    wanted: TaskFilter,
    changes: Changes,
    *,
    limit: int = 500,
    after: UUID | None = None,
) -> list[UUID]:
    """Change up to *limit* waiting tasks, in the order of their ids; returns these.

    *after* goes on behind an earlier batch. What others have locked, a claim for one, is left out.
    """
    query = _locked(skip_locked=True).where(
        *conditions(tasks, wanted), tasks.c.state.in_([state.value for state in CHANGEABLE])
    )
    if after is not None:
        query = query.where(tasks.c.id > after)
    rows = transaction.connection.execute(query.order_by(tasks.c.id).limit(limit)).all()
    if rows:
        _write(transaction, rows, changes)
    return [row.id for row in rows]


def _locked(*, skip_locked: bool = False) -> Any:
    columns = (tasks.c.id, tasks.c.state, tasks.c.queue_name, tasks.c.metadata)
    return select(*columns).with_for_update(skip_locked=skip_locked)


def _write(transaction: Transaction, rows: Sequence[Any], changes: Changes) -> None:
    values: dict[str, Any] = {
        "priority": changes.priority,
        "queue_name": changes.queue,
        "max_retries": changes.max_retries,
        "scheduled_at": changes.at,
    }
    values = {name: value for name, value in values.items() if value is not None}
    if changes.wait is not None:
        values["scheduled_at"] = sql.later(changes.wait.total_seconds())
    ids = [row.id for row in rows]
    if values:
        transaction.connection.execute(update(tasks).where(tasks.c.id.in_(ids)).values(**values))
    if changes.metadata is not None:
        transaction.connection.execute(
            _SET_METADATA,
            [
                {"task_id": row.id, "document": _merged(row.metadata, changes.metadata)}
                for row in rows
            ],
        )
    # A worker may have to look where it did not: another queue, another level, an earlier time.
    waiting = [row for row in rows if row.state == TaskState.PENDING]
    transaction.announce({changes.queue or row.queue_name for row in waiting})


_SET_METADATA = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id", type_=Id()))
    .values(metadata=bindparam("document", type_=tasks.c.metadata.type))
)


def _merged(old: Any, new: Any) -> dict[str, Any] | None:
    merged = (old if isinstance(old, dict) else {}) | dict(new)
    return {key: value for key, value in merged.items() if value is not None} or None
