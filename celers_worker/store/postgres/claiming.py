"""PostgreSQL's claim: due tasks of all levels of all queues in one statement; and its sweep."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    Integer,
    Select,
    Text,
    all_,
    any_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.store import sql, statements, sweeps
from celers_worker.store.postgres.rows import INSTANT, rows
from celers_worker.store.schema import tasks

#: Where a row is: to write it needs no second look into an index. Its lock keeps it there.
_PLACE: ColumnElement[str] = literal_column("celers_tasks.ctid")


def claim(*, limited: bool) -> Any:
    """Lease the due tasks of many levels.

    The levels come in the order of their claims, and the total ends the walk. *limited*: of some
    names only so many; the candidates are locked, counted by name, and only those kept are written.
    """
    level = rows(
        "level",
        queue_name=("queues", Text()),
        priority=("priorities", Integer()),
        mark=("marks", INSTANT),
        room=("rooms", Integer()),
    )
    chosen = _first_due(level, level.c.room)
    return _lease(_within_limits(chosen.cte("candidates")) if limited else chosen)


def claim_announced() -> Any:
    """Lease the due tasks of queues whose levels are not known: sweep and claim in one."""
    found = sweep().subquery("found")
    level = (
        select(found.c.queue_name, found.c.priority, found.c.first_due_at.label("mark"))
        .where(found.c.first_due_at <= sql.now())
        .order_by(found.c.priority.desc(), found.c.first_due_at)
        .subquery("level")
    )
    return _lease(_first_due(level, bindparam("total", type_=Integer)))


def _first_due(level: Any, room: Any) -> Select[Any]:
    """The tasks to lease, locked, level by level."""
    due = (
        select(
            _PLACE.label("place"),
            tasks.c.id,
            tasks.c.task_name,
            tasks.c.priority,
            tasks.c.scheduled_at,
        )
        .where(
            statements.due(level.c.queue_name, level.c.priority, level.c.mark),
            tasks.c.task_name != all_(bindparam("excluded", type_=ARRAY(Text))),
            statements.is_open(level.c.queue_name),
        )
        .order_by(tasks.c.scheduled_at, tasks.c.id)
        .limit(room)
        .with_for_update(skip_locked=True)
        .lateral("due")
    )
    return select(due).select_from(level.join(due, true())).limit(bindparam("total", type_=Integer))


def _lease(chosen: Select[Any]) -> Any:
    places = select(chosen.subquery("chosen").c.place).scalar_subquery()
    return (
        update(tasks)
        .where(any_(func.array(places)) == _PLACE)
        .values(
            state=statements.PROCESSING,
            lease=tasks.c.lease + sql.integer(1),
            worker_id=bindparam("worker", type_=Text()),
            started_at=sql.now(),
        )
        .returning(*statements.CLAIMED)
    )


def _within_limits(candidates: Any) -> Select[Any]:
    by_name = func.row_number().over(
        partition_by=candidates.c.task_name,
        order_by=(candidates.c.priority.desc(), candidates.c.scheduled_at, candidates.c.id),
    )
    ranked = select(candidates.c.place, candidates.c.task_name, by_name.label("rank")).subquery(
        "ranked"
    )
    limit = rows("limited", task_name=("limited", Text()), room=("limits", Integer()))
    return (
        select(ranked.c.place)
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
