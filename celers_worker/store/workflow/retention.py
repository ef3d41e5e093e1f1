"""Retention: workflows that have ended, with their steps and edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, select

from celers_worker.core.workflow import WorkflowState
from celers_worker.store.schema import task_edges, workflow_steps, workflows
from celers_worker.store.workflow import whole_statements

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction

#: Workflows at a time: each may have thousands of rows.
_AT_ONCE = 100


def prune(transaction: Transaction, retention: Mapping[str, timedelta], *, limit: int) -> int:
    """Delete about *limit* rows of workflows past their time; how many.

    A workflow is kept as long as a task that ended so, and a completed one while its result is.
    """
    ages = {
        WorkflowState.COMPLETED: max(retention["completed"], retention["results"]),
        WorkflowState.CANCELLED: retention["cancelled"],
        WorkflowState.FAILED: retention["dead"],
    }
    removed = 0
    for state, age in ages.items():
        old = list(
            transaction.connection.execute(
                whole_statements.ended_before(state),
                {"age": -age.total_seconds(), "room": _AT_ONCE},
            ).scalars()
        )
        if old:
            removed += _remove(transaction, old, limit)
    return removed


def _remove(transaction: Transaction, ids: Sequence[UUID], limit: int) -> int:
    """Delete edges and steps first, and a workflow when it has none."""
    edges = _some(transaction, task_edges, ids, limit)
    steps = _some(transaction, workflow_steps, ids, limit) if edges < limit else 0
    if edges + steps >= limit:
        return edges + steps
    rows_left = [
        exists().where(table.c.workflow_id == workflows.c.id)
        for table in (task_edges, workflow_steps)
    ]
    gone = transaction.connection.execute(
        delete(workflows).where(workflows.c.id.in_(ids), *(~some for some in rows_left))
    )
    return edges + steps + gone.rowcount


def _some(transaction: Transaction, table: Any, ids: Sequence[UUID], limit: int) -> int:
    first, second = table.primary_key.columns
    rows = transaction.connection.execute(
        select(first, second).where(table.c.workflow_id.in_(ids)).limit(limit)
    ).all()
    if rows:
        transaction.connection.execute(
            _delete_of(table), [{"one": row[0], "other": row[1]} for row in rows]
        )
    return len(rows)


def _delete_of(table: Any) -> Any:
    first, second = table.primary_key.columns
    return delete(table).where(
        first == bindparam("one", type_=first.type), second == bindparam("other", type_=second.type)
    )
