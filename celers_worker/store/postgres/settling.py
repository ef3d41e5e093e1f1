"""PostgreSQL's settle of completed tasks: from the hot table to the archive in one statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    LargeBinary,
    Uuid,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
)

from celers_worker.core.task import TaskState
from celers_worker.store import sql
from celers_worker.store.postgres.rows import rows
from celers_worker.store.schema import TASK_COLUMNS, archive, results, tasks


def complete(*, archived: bool, with_results: bool) -> Any:
    """Move tasks whose leases are still held to the archive, or delete them.

    Returns how many, and their ids only if they are fewer than ``expected``: to send a thousand
    ids back takes as long as to look them up.

    By primary key and lease only: a further condition on the state has made planners use the index
    on states, at a quarter of the speed.
    """
    held = rows("held", id=("ids", Uuid()), lease=("leases", BigInteger()))
    gone = (
        delete(tasks)
        .where(tasks.c.id == held.c.id, tasks.c.lease == held.c.lease)
        .returning(*(tasks.columns if archived else [tasks.c.id]))
        .cte("gone")
    )
    count = func.count(gone.c.id)
    missing = count != bindparam("expected", type_=BigInteger)
    statement = select(count, case((missing, func.array_agg(gone.c.id))))
    if archived:
        statement = statement.add_cte(_archived(gone))
    return statement.add_cte(_stored(gone)) if with_results else statement


def _archived(gone: CTE) -> CTE:
    changed = {"state": sql.state(TaskState.COMPLETED), "completed_at": sql.now()}
    return (
        insert(archive)
        .from_select(
            TASK_COLUMNS,
            select(*(changed.get(name, gone.c[name]) for name in TASK_COLUMNS)),
            include_defaults=False,
        )
        .cte("kept")
    )


def _stored(gone: CTE) -> CTE:
    value = rows("value", task_id=("of_tasks", Uuid()), result=("values", LargeBinary()))
    return (
        insert(results)
        .from_select(
            ["task_id", "result", "created_at"],
            select(value.c.task_id, value.c.result, sql.now()).where(value.c.task_id == gone.c.id),
            include_defaults=False,
        )
        .cte("stored")
    )
