"""Schedules: declare them, and deal with their ticks. Each function is one transaction.

A tick's row and its task are written in one transaction, and (schedule, tick) is a key: so a tick
has at most one task, whoever else deals with it at the same time and whoever dies meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.plan import Tick, plan
from celers_worker.core.policies import Overlap
from celers_worker.core.schedule import Schedule, Source
from celers_worker.core.task import NewTask
from celers_worker.store import schedule_statements as statements
from celers_worker.store.schedule_rows import TIMING, columns_of, schedule_of, written_values
from celers_worker.store.statements import NOW
from celers_worker.store.transaction import Transaction

#: Schedules that one transaction deals with.
_ROOM = 50


class Came(StrEnum):
    """What became of a tick."""

    FIRED = "fired"
    TRIGGERED = "triggered"
    MISSED = "missed"
    OVERLAPPED = "overlapped"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look says; seconds, and None where there is nothing.

    ``present`` counts the declared schedules that have a row, ``unseen`` is how long ago one of
    them was seen last.
    """

    due_in: float | None
    present: int
    unseen: float | None


@dataclass(frozen=True, slots=True)
class Dealt:
    """What was decided about one schedule's ticks. ``tasks`` are those that were enqueued."""

    schedule: str
    tasks: Sequence[NewTask] = ()
    missed: Tick | None = None
    overlapped: Sequence[Tick] = ()
    lateness: float = 0.0
    """From the newest tick that fired to now, in seconds."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a worker did about all that was due. ``unreadable``: why it left a schedule alone."""

    dealt: list[Dealt] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    more: bool = False


def declare(transaction: Transaction, declared: Sequence[Schedule]) -> list[str]:
    """Let there be rows for what a worker declares, as it declares them; those that changed.

    A row that a person added to the database under the same name is left as it is. Where the
    timing changes, ticks count from now; a pause stays.
    """
    if not declared:
        return []
    names = sorted(schedule.name for schedule in declared)
    rows = transaction.connection.execute(statements.DECLARED, {"names": names}).all()
    by_name = {row.name: row for row in rows}
    changed = []
    for schedule in sorted(declared, key=lambda one: one.name):
        row = by_name.get(schedule.name)
        if row is not None and row.source == Source.DATABASE:
            continue
        if write(transaction, schedule, row):
            changed.append(schedule.name)
    transaction.connection.execute(statements.SEE_SCHEDULES, {"names": names, "ago": 0})
    return changed


def see(transaction: Transaction, names: Collection[str], *, ago: timedelta) -> None:
    """Note that the declared schedules *names* still are, unless somebody did so since *ago*."""
    values = {"names": sorted(names), "ago": -ago.total_seconds()}
    transaction.connection.execute(statements.SEE_SCHEDULES, values)


def write(transaction: Transaction, schedule: Schedule, row: Any | None) -> bool:
    """Add *schedule*, or change its *row*, which the caller has locked; whether it was needed."""
    if row is None:
        now = transaction.connection.execute(NOW).scalar_one()
        transaction.connection.execute(statements.ADD_SCHEDULE, written_values(schedule, now))
        return True
    columns = columns_of(schedule)
    different = [name for name, value in columns.items() if getattr(row, name) != value]
    if different:
        retimed = any(name in TIMING for name in different)
        since = row.read_at if retimed else row.due_after
        transaction.connection.execute(statements.CHANGE_SCHEDULE, written_values(schedule, since))
    return bool(different)


def look(
    transaction: Transaction, declared: Collection[str], unreadable: Collection[str] = ()
) -> Look:
    """Ask in one statement what there is to do for a worker that declares *declared*."""
    row = transaction.connection.execute(
        statements.LOOK, {"declared": sorted(declared), "unreadable": sorted(unreadable)}
    ).one()
    return Look(
        None if row.due_in is None else float(row.due_in),
        int(row.present or 0),
        None if row.unseen is None else float(row.unseen),
    )


def tick(
    transaction: Transaction, declared: Collection[str], unreadable: Collection[str] = ()
) -> Round:
    """Deal with the ticks that are due, of what the worker declares and of the database's own."""
    done = Round()
    rows = transaction.connection.execute(
        statements.DUE_SCHEDULES,
        {"declared": sorted(declared), "unreadable": sorted(unreadable), "room": _ROOM},
    ).all()
    tasks: list[NewTask] = []
    for row in rows:
        try:
            schedule = schedule_of(row)
        except ConfigurationError as error:
            done.unreadable[row.name] = str(error)
            continue
        dealt = _deal(transaction, schedule, row)
        if dealt is not None:
            done.dealt.append(dealt)
            tasks += dealt.tasks
    if tasks:
        transaction.enqueue(tasks)
    return Round(done.dealt, done.unreadable, more=len(rows) == _ROOM and bool(done.dealt))


def _deal(transaction: Transaction, schedule: Schedule, row: Any) -> Dealt | None:
    """Decide, and write the ticks; the caller enqueues the tasks. None: nothing to write."""
    now: datetime = row.read_at
    decided = plan(
        schedule,
        now=now,
        due_after=row.due_after,
        waiting=row.waiting_tick,
        busy=_is_busy(transaction, schedule, row.last_task_id),
    )
    held = None if decided.waiting is None else decided.waiting.at
    next_at = schedule.timing.next_after(decided.due_after)
    if (decided.due_after, next_at, held) == (row.due_after, row.next_tick, row.waiting_tick):
        return None
    tasks = {one.at: schedule.new_task(one.at, now=now) for one in decided.fired}
    written = [
        *((one, Came.FIRED, tasks[one.at].id) for one in decided.fired),
        *((one, Came.OVERLAPPED, None) for one in decided.overlapped),
        *((one, Came.MISSED, None) for one in [decided.missed] if one is not None),
    ]
    ours = add_ticks(transaction, schedule.name, written)
    enqueued = [task for task in tasks.values() if task.id in ours]
    transaction.connection.execute(
        statements.ADVANCE,
        {
            "of_schedule": schedule.name,
            "done_until": decided.due_after,
            "next_at": next_at,
            "held_at": held,
            "last_id": enqueued[-1].id if enqueued else None,
        },
    )
    late = (now - decided.fired[-1].at).total_seconds() if enqueued else 0.0
    return Dealt(schedule.name, enqueued, decided.missed, decided.overlapped, late)


def add_ticks(
    transaction: Transaction, name: str, written: Sequence[tuple[Tick, Came, UUID | None]]
) -> frozenset[UUID]:
    """Write what became of ticks, and return the tasks in them: those of ours that are to be."""
    if not written:
        return frozenset()
    transaction.connection.execute(
        statements.ADD_TICKS,
        [
            {
                "of_schedule": name,
                "at_tick": one.at,
                "came_to": came.value,
                "since_tick": one.since,
                "with_task": task_id,
            }
            for one, came, task_id in written
        ],
    )
    rows = transaction.connection.execute(
        statements.TASKS_OF_TICKS,
        {"of_schedule": name, "ticks": [one.at for one, _, _ in written]},
    )
    return frozenset(rows.scalars())


def _is_busy(transaction: Transaction, schedule: Schedule, last: UUID | None) -> bool:
    if schedule.policies.overlap is Overlap.ALLOW or last is None:
        return False
    return transaction.connection.execute(statements.IS_LIVE, {"task_id": last}).first() is not None


def prune(transaction: Transaction, age: timedelta, *, limit: int = 1_000) -> int:
    """Delete up to *limit* ticks older than *age*, and schedules that nobody declares any more."""
    ago = -age.total_seconds()
    beyond = transaction.connection.execute(
        statements.OLD_TICKS_BEYOND, {"ago": ago, "room": limit}
    ).scalar()
    deleted = transaction.connection.execute(
        statements.DELETE_TICKS, {"ago": ago, "beyond": beyond}
    )
    transaction.connection.execute(statements.DELETE_UNDECLARED, {"ago": ago})
    return deleted.rowcount
