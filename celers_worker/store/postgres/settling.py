"""PostgreSQL's settle of completed tasks: from the hot table to the archive in one statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, LargeBinary, Uuid, delete, insert, select

from celers_worker.core.task import TaskState
from celers_worker.store import sql
from celers_worker.store.postgres.rows import rows
from celers_worker.store.schema import TASK_COLUMNS, archive, results, tasks


def complete(*, with_results: bool) -> Any:
    """Move tasks whose leases are still held to the archive; returns their ids.

    By primary key and lease only: a further condition on the state has made planners use the index
    on states, at a quarter of the speed.
    """
    held = rows("held", id=("ids", Uuid()), lease=("leases", BigInteger()))
    gone = (
        delete(tasks)
        .where(tasks.c.id == held.c.id, tasks.c.lease == held.c.lease)
        .returning(*tasks.columns)
        .cte("gone")
    )
    changed = {"state": sql.state(TaskState.COMPLETED), "completed_at": sql.now()}
    kept = (
        insert(archive)
        .from_select(
            TASK_COLUMNS,
            select(*(changed.get(name, gone.c[name]) for name in TASK_COLUMNS)),
            include_defaults=False,
        )
        .cte("kept")
    )
    statement = select(gone.c.id).add_cte(kept)
    if with_results:
        value = rows("value", task_id=("of_tasks", Uuid()), result=("values", LargeBinary()))
        stored = (
            insert(results)
            .from_select(
                ["task_id", "result", "created_at"],
                select(value.c.task_id, value.c.result, sql.now()).where(
                    value.c.task_id == gone.c.id
                ),
                include_defaults=False,
            )
            .cte("stored")
        )
        statement = statement.add_cte(stored)
    return statement
