"""PostgreSQL's settle of completed tasks: from the hot table to the archive in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Double,
    LargeBinary,
    Select,
    Text,
    Uuid,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    not_,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.outcome import Completed
from celers_worker.core.task import Task, TaskState
from celers_worker.store import sql
from celers_worker.store.postgres.rows import rows
from celers_worker.store.schema import TASK_COLUMNS, archive, results, tasks

#: Who waits for results holds this lock, and listens.
WAITING_LOCK = 0x63656C72
ENDED_CHANNEL = "celers_ended"


def _told() -> ColumnElement[bool]:
    """Notify who waits for results, once a statement and only if anybody does; always true.

    A NOTIFY serialises commits, so settles must not send any for nothing. Who waits holds the lock
    exclusively; settles share it, so that they never stand in each other's way, until they have
    committed: whoever then gets it sees what they did. A condition without columns is evaluated
    once, before the rows.
    """
    somebody_waits = not_(func.pg_try_advisory_xact_lock_shared(literal_column(str(WAITING_LOCK))))
    notified = select(
        func.count(func.pg_notify(literal_column(f"'{ENDED_CHANNEL}'"), literal_column("''")))
    ).where(somebody_waits)
    return notified.scalar_subquery() >= literal_column("0")


#: The same for what ended otherwise.
TELL_ENDED: Select[Any] = select(literal_column("1")).where(_told())


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
    statement = select(count, case((missing, func.array_agg(gone.c.id)))).where(_told())
    if archived:
        statement = statement.add_cte(_archived(gone))
    return statement.add_cte(_stored(gone)) if with_results else statement


def result_arrays(completed: Sequence[tuple[Task, Completed]]) -> dict[str, list[Any]]:
    """The arrays of what is kept of tasks that returned something."""
    return {
        "of_tasks": [task.id for task, _ in completed],
        "of_names": [task.name for task, _ in completed],
        "values": [outcome.result for _, outcome in completed],
        "codecs": [outcome.codec for _, outcome in completed],
        "runtimes": [outcome.runtime for _, outcome in completed],
        "lifetimes": [
            None if outcome.keep is None else outcome.keep.total_seconds()
            for _, outcome in completed
        ],
    }


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
    value = rows(
        "value",
        task_id=("of_tasks", Uuid()),
        task_name=("of_names", Text()),
        result=("values", LargeBinary()),
        codec=("codecs", Text()),
        runtime=("runtimes", Double()),
        keep=("lifetimes", Double()),
    )
    columns = {
        "task_id": value.c.task_id,
        "result": value.c.result,
        "created_at": sql.now(),
        "state": sql.state(TaskState.COMPLETED),
        "task_name": value.c.task_name,
        "codec": value.c.codec,
        "runtime": value.c.runtime,
        "expires_at": sql.later(value.c.keep),
    }
    # A row that is there already is of an earlier life of the task.
    return (
        sql.insert_or_replace(results)
        .from_select(
            list(columns),
            select(*columns.values()).where(value.c.task_id == gone.c.id),
            include_defaults=False,
        )
        .cte("stored")
    )
