"""Reads about schedules, for people: lists, one entry, what became of its ticks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.schedule import Schedule, Source
from celers_worker.store import sql
from celers_worker.store.schedule_rows import schedule_of
from celers_worker.store.schema import archive, dead_letters, schedule_ticks, schedules, tasks
from celers_worker.store.transaction import Transaction

#: What no worker has declared for so long is declared no more: workers say so every few minutes.
FORGOTTEN = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """A schedule and how far it has come; ``problem``: why this host cannot read it."""

    name: str
    source: str
    task: str
    schedule: Schedule | None
    problem: str | None
    declared: bool
    """False: it fires no more, for no worker declares it. One of the database needs none to."""
    next_tick: datetime | None
    last_tick: datetime | None
    waiting_tick: datetime | None
    paused_at: datetime | None
    paused_reason: str | None
    created_at: datetime
    changed_at: datetime
    read_at: datetime
    """The database's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickView:
    """What became of a tick; ``state`` is that of its task, None if that is kept no longer."""

    schedule: str
    tick: datetime
    outcome: str
    since: datetime | None
    task_id: UUID | None
    state: str | None
    decided_at: datetime


def names(transaction: Transaction) -> list[str]:
    """The names of all schedules."""
    query = select(schedules.c.name).order_by(schedules.c.name)
    return list(transaction.connection.execute(query).scalars())


def list_schedules(transaction: Transaction, name: str | None = None) -> list[ScheduleView]:
    """All schedules, or the one called *name*, by name."""
    last = (
        select(func.max(schedule_ticks.c.tick))
        .where(
            schedule_ticks.c.schedule_name == schedules.c.name,
            schedule_ticks.c.task_id.is_not(None),
        )
        .scalar_subquery()
    )
    query = select(schedules, last.label("last_tick"), sql.now().label("read_at"))
    if name is not None:
        query = query.where(schedules.c.name == name)
    rows = transaction.connection.execute(query.order_by(schedules.c.name)).all()
    return [_view(row) for row in rows]


def history(transaction: Transaction, name: str, *, limit: int = 20) -> list[TickView]:
    """What became of the last ticks of a schedule, the newest first."""
    rows = transaction.connection.execute(
        select(schedule_ticks)
        .where(schedule_ticks.c.schedule_name == name)
        .order_by(schedule_ticks.c.tick.desc())
        .limit(limit)
    ).all()
    states = _states(transaction, [row.task_id for row in rows if row.task_id is not None])
    return [
        TickView(
            schedule=row.schedule_name,
            tick=row.tick,
            outcome=row.outcome,
            since=row.since,
            task_id=row.task_id,
            state=states.get(row.task_id),
            decided_at=row.decided_at,
        )
        for row in rows
    ]


def is_declared(row: Any) -> bool:
    """Whether a worker that declares the schedule was there lately; the database's own need none.

    *row* has ``source``, ``seen_at`` and the database's time as ``read_at``.
    """
    return bool(row.source == Source.DATABASE or row.read_at - row.seen_at < FORGOTTEN)


def _states(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, str]:
    wanted = list(ids)
    found: dict[UUID, str] = {}
    for table in (archive, dead_letters, tasks):
        query = select(table.c.id, table.c.state).where(table.c.id.in_(wanted))
        found |= {row.id: row.state for row in transaction.connection.execute(query)}
    return found


def _view(row: Any) -> ScheduleView:
    schedule, problem = None, None
    try:
        schedule = schedule_of(row)
    except ConfigurationError as error:
        problem = str(error)
    return ScheduleView(
        name=row.name,
        source=row.source,
        task=row.task_name,
        schedule=schedule,
        problem=problem,
        declared=is_declared(row),
        next_tick=row.next_tick,
        last_tick=row.last_tick,
        waiting_tick=row.waiting_tick,
        paused_at=row.paused_at,
        paused_reason=row.paused_reason,
        created_at=row.created_at,
        changed_at=row.changed_at,
        read_at=row.read_at,
    )
