"""The statements about schedules, in the order of a tick's life.

A bind may not be named like a column of the table it writes, so each is named for its role.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Delete,
    Float,
    Insert,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from celers_worker.core.schedule import Source
from celers_worker.store import sql
from celers_worker.store.schema import schedule_ticks, schedules, tasks
from celers_worker.store.types import Id, UtcDateTime

_BY_NAME = schedules.c.name == bindparam("of_schedule")
_DATABASE = schedules.c.source == Source.DATABASE.value

#: What a worker deals with: what it declares itself, and what only the database knows.
_OURS = and_(
    or_(_DATABASE, schedules.c.name.in_(bindparam("declared", expanding=True))),
    schedules.c.name.not_in(bindparam("unreadable", expanding=True)),
)
_SET_BACK = schedules.c.due_after > sql.now()
_HELD = schedules.c.waiting_tick.is_not(None)


# --- declare ---

DECLARED: Select[Any] = (
    select(schedules, sql.now().label("read_at"))
    .where(schedules.c.name.in_(bindparam("names", expanding=True)))
    .order_by(schedules.c.name)
    .with_for_update()
)
_WRITTEN: dict[str, Any] = {
    "source": bindparam("from_source"),
    "task_name": bindparam("of_task"),
    "payload": bindparam("with_payload"),
    "options": bindparam("with_options", type_=schedules.c.options.type),
    "cron": bindparam("by_cron"),
    "interval_seconds": bindparam("by_interval"),
    "time_zone": bindparam("in_zone"),
    "misfire": bindparam("if_late"),
    "misfire_after": bindparam("late_after"),
    "catch_up": bindparam("at_most"),
    "overlap": bindparam("if_busy"),
    "jitter": bindparam("spread"),
    "due_after": bindparam("done_until", type_=UtcDateTime()),
    "next_tick": bindparam("next_at", type_=UtcDateTime()),
    "changed_at": sql.now(),
    "seen_at": sql.now(),
}
ADD_SCHEDULE: Insert = sql.insert_ignore(schedules).values(
    name=bindparam("of_schedule"), created_at=sql.now(), **_WRITTEN
)
CHANGE_SCHEDULE: Update = update(schedules).values(_WRITTEN).where(_BY_NAME)
SEE_SCHEDULES: Update = (
    update(schedules)
    .values(seen_at=sql.now())
    .where(
        schedules.c.name.in_(bindparam("names", expanding=True)),
        schedules.c.seen_at < sql.later(bindparam("ago")),
    )
)


# --- tick ---

#: One row, however many schedules: the seconds until something is due, and how many of the
#: declared ones there are, with the age of the one that was seen longest ago.
LOOK: Select[Any] = select(
    func.min(
        case(
            (schedules.c.paused_at.is_not(None), None),
            (or_(_SET_BACK, _HELD), sql.integer(0)),
            else_=-sql.seconds_since(schedules.c.next_tick),
        ),
        type_=Float,
    ).label("due_in"),
    func.sum(
        case(
            (schedules.c.name.in_(bindparam("declared", expanding=True)), sql.integer(1)),
            else_=sql.integer(0),
        ),
        type_=Integer,
    ).label("present"),
    func.max(
        case(
            (
                schedules.c.name.in_(bindparam("declared", expanding=True)),
                sql.seconds_since(schedules.c.seen_at),
            ),
        ),
        type_=Float,
    ).label("unseen"),
).where(_OURS)

DUE_SCHEDULES: Select[Any] = (
    select(schedules, sql.now().label("read_at"))
    .where(
        _OURS,
        schedules.c.paused_at.is_(None),
        or_(schedules.c.next_tick <= sql.now(), _SET_BACK, _HELD),
    )
    .order_by(schedules.c.next_tick, schedules.c.name)
    .limit(bindparam("room", type_=Integer))
    # Another worker that is at a schedule deals with its tick; the ticks' key is what counts.
    .with_for_update(skip_locked=True)
)
IS_LIVE: Select[Any] = select(tasks.c.id).where(tasks.c.id == bindparam("task_id", type_=Id()))

#: A tick that has a row keeps it: who finds another task in it than his own enqueues nothing.
ADD_TICKS: Insert = sql.insert_ignore(schedule_ticks).values(
    schedule_name=bindparam("of_schedule"),
    tick=bindparam("at_tick", type_=UtcDateTime()),
    outcome=bindparam("came_to"),
    since=bindparam("since_tick", type_=UtcDateTime()),
    task_id=bindparam("with_task", type_=Id()),
    decided_at=sql.now(),
)
TASKS_OF_TICKS: Select[Any] = select(schedule_ticks.c.task_id).where(
    schedule_ticks.c.schedule_name == bindparam("of_schedule"),
    schedule_ticks.c.tick.in_(bindparam("ticks", type_=UtcDateTime(), expanding=True)),
    schedule_ticks.c.task_id.is_not(None),
)
ADVANCE: Update = (
    update(schedules)
    .where(_BY_NAME)
    .values(
        due_after=bindparam("done_until", type_=UtcDateTime()),
        next_tick=bindparam("next_at", type_=UtcDateTime()),
        waiting_tick=bindparam("held_at", type_=UtcDateTime()),
        last_task_id=func.coalesce(
            bindparam("last_id", type_=Id()), schedules.c.last_task_id, type_=Id()
        ),
    )
)


# --- control ---

ONE_SCHEDULE: Select[Any] = select(schedules, sql.now().label("read_at")).where(_BY_NAME)
LOCKED_SCHEDULE: Select[Any] = ONE_SCHEDULE.with_for_update()
PAUSE_SCHEDULE: Update = (
    update(schedules)
    .where(_BY_NAME)
    .values(
        paused_at=func.coalesce(schedules.c.paused_at, sql.now()), paused_reason=bindparam("why")
    )
)
#: What was due in the meantime is not made up for.
RESUME_SCHEDULE: Update = (
    update(schedules)
    .where(_BY_NAME)
    .values(
        paused_at=None,
        paused_reason=None,
        waiting_tick=None,
        due_after=bindparam("done_until", type_=UtcDateTime()),
        next_tick=bindparam("next_at", type_=UtcDateTime()),
    )
)
TRIGGERED: Update = (
    update(schedules).where(_BY_NAME).values(last_task_id=bindparam("last_id", type_=Id()))
)
REMOVE_SCHEDULE: Delete = delete(schedules).where(_BY_NAME)


# --- retention ---

OLD_TICKS_BEYOND: Select[Any] = (
    select(schedule_ticks.c.decided_at)
    .where(schedule_ticks.c.decided_at < sql.later(bindparam("ago")))
    .order_by(schedule_ticks.c.decided_at)
    .limit(1)
    .offset(bindparam("room", type_=Integer))
)
DELETE_TICKS: Delete = delete(schedule_ticks).where(
    schedule_ticks.c.decided_at < sql.later(bindparam("ago")),
    schedule_ticks.c.decided_at
    < func.coalesce(bindparam("beyond", type_=UtcDateTime()), sql.now(), type_=UtcDateTime()),
)
DELETE_UNDECLARED: Delete = delete(schedules).where(
    ~_DATABASE, schedules.c.seen_at < sql.later(bindparam("ago"))
)
