"""Sweeps: which levels have tasks, by loose index scans; and what foreign producers wrote.

A bind may not be named like a column of the table it writes, so each is named for its role.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, Update, bindparam, cast, select, union_all, update
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.store import sql
from celers_worker.store.schema import tasks
from celers_worker.store.statements import PENDING
from celers_worker.store.types import Id

#: Where a foreign producer's rows wait to be adopted.
UNADOPTED = ""

#: A century, in seconds.
_FAR = sql.integer(3_155_760_000)


@lru_cache(maxsize=64)
def sweep(named: int | None) -> Select[Any]:
    """The levels that exist: (queue, priority, when its first task is due, now).

    *named*: so many queues, in the binds queue_0, queue_1 …; None for every queue there is.
    Loose index scans: a probe for each queue and level, however many tasks wait in them.
    """
    return levels_of(_every_queue() if named is None else _named_queues(named))


def levels_of(each: Any) -> Select[Any]:
    """The levels of the queues in the column ``queue_name`` of *each*."""
    t = tasks.alias("t")
    here = (t.c.state == PENDING, t.c.queue_name)

    def top(queue: ColumnElement[str], *below: ColumnElement[bool]) -> Any:
        return (
            select(t.c.priority)
            .where(here[0], here[1] == queue, *below)
            .order_by(t.c.priority.desc())
            .limit(1)
            .scalar_subquery()
        )

    level = select(each.c.queue_name, top(each.c.queue_name).label("priority")).cte(
        "level", recursive=True
    )
    level = level.union_all(
        select(level.c.queue_name, top(level.c.queue_name, t.c.priority < level.c.priority)).where(
            level.c.priority.is_not(None)
        )
    )
    first = (
        select(t.c.scheduled_at)
        .where(here[0], here[1] == level.c.queue_name, t.c.priority == level.c.priority)
        .order_by(t.c.scheduled_at)
        .limit(1)
        .scalar_subquery()
    )
    return select(
        level.c.queue_name,
        level.c.priority,
        # One row of the year 10000, which Python cannot read, must not end every claim.
        sql.earlier(first, sql.later(_FAR)).label("first_due_at"),
        sql.now().label("now"),
    ).where(level.c.priority.is_not(None))


def _named_queues(count: int) -> Any:
    rows = [
        select(cast(bindparam(f"queue_{index}"), tasks.c.queue_name.type).label("queue_name"))
        for index in range(count)
    ]
    return union_all(*rows).cte("each")


def _every_queue() -> Any:
    t = tasks.alias("every")

    def following(*after: ColumnElement[bool]) -> Any:
        return (
            select(t.c.queue_name)
            .where(t.c.state == PENDING, *after)
            .order_by(t.c.queue_name)
            .limit(1)
            .scalar_subquery()
        )

    each = select(following().label("queue_name")).cte("each", recursive=True)
    return each.union_all(
        select(following(t.c.queue_name > each.c.queue_name)).where(each.c.queue_name.is_not(None))
    )


# --- the same probe by probe, for servers that do not bound a correlated scan ---

_WAITS = tasks.c.state == PENDING
_HERE = (_WAITS, tasks.c.queue_name == bindparam("queue"))

FIRST_QUEUE: Select[Any] = (
    select(tasks.c.queue_name).where(_WAITS).order_by(tasks.c.queue_name).limit(1)
)
NEXT_QUEUE: Select[Any] = FIRST_QUEUE.where(tasks.c.queue_name > bindparam("queue"))
TOP_LEVEL: Select[Any] = (
    select(tasks.c.priority).where(*_HERE).order_by(tasks.c.priority.desc()).limit(1)
)
NEXT_LEVEL: Select[Any] = TOP_LEVEL.where(tasks.c.priority < bindparam("at_priority"))
FIRST_OF_LEVEL: Select[Any] = (
    select(sql.earlier(tasks.c.scheduled_at, sql.later(_FAR)), sql.now())
    .where(*_HERE, tasks.c.priority == bindparam("at_priority"))
    .order_by(tasks.c.scheduled_at)
    .limit(1)
)


# --- what foreign producers wrote ---

UNADOPTED_TASKS: Select[Any] = (
    select(tasks.c.id, tasks.c.metadata, tasks.c.task_name)
    .where(tasks.c.state == PENDING, tasks.c.queue_name == UNADOPTED)
    .limit(500)
    .with_for_update(skip_locked=True)
)

ADOPT: Update = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id", type_=Id()))
    .values(
        queue_name=bindparam("to_queue"),
        timeout=bindparam("to_timeout"),
        group_id=bindparam("to_group"),
        chord_id=bindparam("to_chord"),
    )
)
