"""PostgreSQL's own forms of the hot statements: arrays in, one statement for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    TIMESTAMP,
    BigInteger,
    Double,
    Integer,
    LargeBinary,
    Select,
    Text,
    Uuid,
    all_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from celers_worker.core.task import NewTask, TaskState
from celers_worker.store import sql, statements, sweeps
from celers_worker.store.schema import TASK_COLUMNS, archive, results, tasks
from celers_worker.store.types import in_utc

_INSTANT = TIMESTAMP(timezone=True)


def _rows(alias: str, **columns: tuple[str, Any]) -> Any:
    """Arrays in binds as a table: ``unnest($1, $2) AS alias(name, name)``."""
    arrays = [bindparam(bind, type_=ARRAY(kind)) for bind, kind in columns.values()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name=alias)


# --- enqueue ---

_ARRAYS: dict[str, tuple[str, Any]] = {
    "id": ("ids", Uuid()),
    "task_name": ("names", Text()),
    "payload": ("payloads", LargeBinary()),
    "priority": ("priorities", Integer()),
    "max_retries": ("budgets", Integer()),
    "at": ("instants", _INSTANT),
    "delay": ("delays", Double()),
    "metadata": ("documents", Text()),
    "queue_name": ("queues", Text()),
    "timeout": ("timeouts", Double()),
    "expires": ("lifetimes", Double()),
    "fingerprint": ("fingerprints", Text()),
}
_new = _rows("new", **_ARRAYS)
_announced = (
    func.unnest(bindparam("announced", type_=ARRAY(Text)))
    .table_valued("queue_name")
    .render_derived(name="announced")
)
_inserted = (
    insert(tasks)
    .from_select(
        [
            "id",
            "task_name",
            "payload",
            "state",
            "priority",
            "max_retries",
            "created_at",
            "scheduled_at",
            "metadata",
            "queue_name",
            "timeout",
            "expires_at",
            "fingerprint",
        ],
        select(
            _new.c.id,
            _new.c.task_name,
            _new.c.payload,
            statements.PENDING,
            _new.c.priority,
            _new.c.max_retries,
            sql.now(),
            func.coalesce(_new.c.at, sql.later(_new.c.delay)),
            cast(_new.c.metadata, JSONB),
            _new.c.queue_name,
            _new.c.timeout,
            sql.later(_new.c.expires),
            _new.c.fingerprint,
        ),
        include_defaults=False,
    )
    .cte("inserted")
)
ENQUEUE = select(
    func.pg_notify(bindparam("channel", type_=Text()), _announced.c.queue_name)
).add_cte(_inserted)


def new_arrays(new: Sequence[NewTask]) -> dict[str, list[Any]]:
    """The arrays of ENQUEUE for *new* tasks."""
    return {
        "ids": [task.id for task in new],
        "names": [task.name for task in new],
        "payloads": [task.payload for task in new],
        "priorities": [task.priority for task in new],
        "budgets": [task.max_retries for task in new],
        "instants": [None if task.at is None else in_utc(task.at) for task in new],
        "delays": [task.delay.total_seconds() for task in new],
        "documents": [
            None if task.metadata is None else msgspec.json.encode(task.metadata).decode()
            for task in new
        ],
        "queues": [task.queue for task in new],
        "timeouts": [_seconds(task.timeout) for task in new],
        "lifetimes": [_seconds(task.expires) for task in new],
        "fingerprints": [task.fingerprint for task in new],
    }


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


# --- claim ---


def claim(*, limited: bool) -> Any:
    """Lease the due tasks of many levels.

    The levels come in the order of their claims, and the total ends the walk. *limited*: of some
    names only so many; the candidates are locked, counted by name, and only those kept are written.
    """
    level = _rows(
        "level",
        queue_name=("queues", Text()),
        priority=("priorities", Integer()),
        mark=("marks", _INSTANT),
        room=("rooms", Integer()),
    )
    due = (
        select(tasks.c.id, tasks.c.task_name, tasks.c.priority, tasks.c.scheduled_at)
        .where(
            statements.due(level.c.queue_name, level.c.priority, level.c.mark),
            tasks.c.task_name != all_(bindparam("excluded", type_=ARRAY(Text))),
            statements.is_open(level.c.queue_name),
        )
        .order_by(tasks.c.scheduled_at, tasks.c.id)
        .limit(level.c.room)
        .with_for_update(skip_locked=True)
        .lateral("due")
    )
    chosen: Any = (
        select(due.c.id, due.c.task_name, due.c.priority, due.c.scheduled_at)
        .select_from(level.join(due, true()))
        .limit(bindparam("total", type_=Integer))
    )
    if limited:
        chosen = _within_limits(chosen.cte("candidates"))
    else:
        chosen = select(chosen.subquery("chosen").c.id)
    return (
        update(tasks)
        .where(tasks.c.id == any_(func.array(chosen.scalar_subquery())))
        .values(
            state=statements.PROCESSING,
            lease=tasks.c.lease + sql.integer(1),
            worker_id=bindparam("worker", type_=Text()),
            started_at=sql.now(),
        )
        .returning(*statements.CLAIMED)
    )


def _within_limits(candidates: Any) -> Any:
    by_name = func.row_number().over(
        partition_by=candidates.c.task_name,
        order_by=(candidates.c.priority.desc(), candidates.c.scheduled_at, candidates.c.id),
    )
    ranked = select(candidates.c.id, candidates.c.task_name, by_name.label("rank")).subquery(
        "ranked"
    )
    limit = _rows("limited", task_name=("limited", Text()), room=("limits", Integer()))
    return (
        select(ranked.c.id)
        .select_from(ranked.outerjoin(limit, ranked.c.task_name == limit.c.task_name))
        .where(or_(limit.c.room.is_(None), ranked.c.rank <= limit.c.room))
    )


SWEEP_ALL: Select[Any] = sweeps.sweep(None)


def sweep() -> Select[Any]:
    """``sweeps.sweep`` for an array of queues."""
    each = (
        func.unnest(bindparam("queues", type_=ARRAY(Text)))
        .table_valued("queue_name")
        .render_derived(name="each")
    )
    return sweeps.levels_of(each)


# --- settle ---


def complete(*, with_results: bool) -> Any:
    """Move tasks whose leases are still held to the archive; returns their ids.

    By primary key and lease only: a further condition on the state has made planners use the index
    on states, at a quarter of the speed.
    """
    held = _rows("held", id=("ids", Uuid()), lease=("leases", BigInteger()))
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
        value = _rows("value", task_id=("of_tasks", Uuid()), result=("values", LargeBinary()))
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


# --- archive partitions ---

DEFAULT_PARTITION = "celers_task_archive_default"
PARTITIONS = text(
    "SELECT child.relname FROM pg_inherits "
    "JOIN pg_class child ON child.oid = inhrelid "
    "WHERE inhparent = 'celers_task_archive'::regclass"
)


def partition_name(day: date) -> str:
    """The name of the archive's partition of *day* (UTC)."""
    return f"celers_task_archive_{day:%Y%m%d}"


def create_partition(day: date) -> str:
    """The statement that makes the archive's partition of *day* (UTC)."""
    return (
        f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF celers_task_archive "
        f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')"
    )
