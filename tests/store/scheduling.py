"""Schedules as the tests make them, and the passing of time in the database."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from celers_worker.core.policies import policies_of
from celers_worker.core.schedule import Schedule, Source, make_schedule
from celers_worker.core.timing import timing_of
from celers_worker.store import schedule_control, sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import schedule_ticks, schedules
from celers_worker.store.transaction import Transaction


def schedule(name: str = "nightly", task: str = "report", **changes: Any) -> Schedule:
    """A schedule of every hour, with *changes* to what it is and to its policies."""
    every = changes.pop("every", None if "cron" in changes else "1h")
    timing = timing_of(
        cron=changes.pop("cron", None), every=every, timezone=changes.pop("timezone", None)
    )
    words = ("misfire", "misfire_after", "catch_up", "overlap", "jitter")
    policies = policies_of(**{word: changes.pop(word) for word in words if word in changes})
    source = changes.pop("source", Source.DATABASE)
    return make_schedule(name, task, timing, policies=policies, source=source, **changes)


def add(direct: DirectStore, *wanted: Schedule) -> None:
    for one in wanted:
        direct.run(schedule_control.add, one)


def let_pass(direct: DirectStore, name: str, ago: timedelta) -> None:
    """Let nobody have dealt with a schedule for so long; negative: its ticks lie in the future."""

    def write(transaction: Transaction) -> None:
        then = sql.later(-ago.total_seconds())
        transaction.connection.execute(
            update(schedules).where(schedules.c.name == name).values(due_after=then, next_tick=then)
        )

    direct.run(write)


def unseen(direct: DirectStore, name: str, ago: timedelta) -> None:
    """Let no worker have declared it for so long."""

    def write(transaction: Transaction) -> None:
        transaction.connection.execute(
            update(schedules)
            .where(schedules.c.name == name)
            .values(seen_at=sql.later(-ago.total_seconds()))
        )

    direct.run(write)


def row(direct: DirectStore, name: str = "nightly") -> Any:
    """The row of a schedule, with the database's time as ``now``."""
    query = select(schedules, sql.now().label("now")).where(schedules.c.name == name)
    return direct.run(lambda transaction: transaction.connection.execute(query).one_or_none())


def ticks(direct: DirectStore) -> list[Any]:
    """What became of ticks, in their order."""
    query = select(schedule_ticks).order_by(schedule_ticks.c.schedule_name, schedule_ticks.c.tick)
    return direct.run(lambda transaction: transaction.connection.execute(query).all())


def outcomes(direct: DirectStore) -> Counter[str]:
    return Counter(tick.outcome for tick in ticks(direct))
