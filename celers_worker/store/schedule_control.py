"""What a person asks of schedules: add, remove, pause, resume, trigger. Each is one transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celers_worker.core.errors import CelersError, ScheduleNotFound
from celers_worker.core.names import nearest
from celers_worker.core.plan import Tick
from celers_worker.core.schedule import Schedule, Source
from celers_worker.core.task import NewTask
from celers_worker.store import schedule_statements as statements
from celers_worker.store.schedule_rows import schedule_of
from celers_worker.store.schedule_views import is_declared, names
from celers_worker.store.schedules import Came, add_ticks, write
from celers_worker.store.transaction import Transaction


def add(transaction: Transaction, schedule: Schedule, *, replace: bool = False) -> bool:
    """Add *schedule*; whether there was none of its name. It counts from now.

    *replace* takes the place of one that there is; if that is declared by code or configuration,
    this one goes before it from now on. Else raises CelersError.
    """
    row = transaction.connection.execute(
        statements.LOCKED_SCHEDULE, {"of_schedule": schedule.name}
    ).first()
    if row is not None and not replace:
        raise CelersError(
            f"there is a schedule {schedule.name!r} already, from the {row.source}: "
            f"it enqueues {row.task_name!r}. Replace it, or choose another name."
        )
    write(transaction, schedule, row)
    transaction.nudge()
    return row is None


def remove(transaction: Transaction, name: str, *, force: bool = False) -> None:
    """Remove a schedule; what became of its ticks is kept.

    Raises ScheduleNotFound, or CelersError if a worker still declares it, unless *force*.
    """
    row = locked(transaction, name)
    if row.source != Source.DATABASE and is_declared(row) and not force:
        raise CelersError(
            f"the schedule {name!r} is declared by the {row.source} of a worker, which would add "
            f"it again. Remove it there, or pause it: celers schedule pause {name}"
        )
    transaction.connection.execute(statements.REMOVE_SCHEDULE, {"of_schedule": name})
    transaction.nudge()


def pause(transaction: Transaction, name: str, reason: str | None) -> None:
    """Let it fire no more, also after a deployment. Raises ScheduleNotFound."""
    locked(transaction, name)
    values = {"of_schedule": name, "why": reason[:255] if reason else None}
    transaction.connection.execute(statements.PAUSE_SCHEDULE, values)
    transaction.nudge()


def resume(transaction: Transaction, name: str) -> bool:
    """Let it fire again, from now on; False if it was not paused. Raises ScheduleNotFound."""
    row = locked(transaction, name)
    if row.paused_at is None:
        return False
    timing = schedule_of(row).timing
    transaction.connection.execute(
        statements.RESUME_SCHEDULE,
        {
            "of_schedule": name,
            "done_until": row.read_at,
            "next_at": timing.next_after(row.read_at),
        },
    )
    transaction.nudge()
    return True


def trigger(transaction: Transaction, name: str) -> NewTask:
    """Enqueue its task now, whatever its policies say. Raises ScheduleNotFound."""
    row = locked(transaction, name)
    # Ticks fall on whole seconds, this does not: so it never takes the place of one.
    instant = row.read_at + timedelta(microseconds=0 if row.read_at.microsecond else 1)
    task = schedule_of(row).new_task(instant, now=row.read_at, due=instant)
    while task.id not in add_ticks(transaction, name, [(Tick(instant), Came.TRIGGERED, task.id)]):
        instant += timedelta(microseconds=1)
    transaction.enqueue([task])
    transaction.connection.execute(statements.TRIGGERED, {"of_schedule": name, "last_id": task.id})
    return task


def locked(transaction: Transaction, name: str) -> Any:
    """The row of the schedule *name*, locked. Raises ScheduleNotFound with the nearest name."""
    row = transaction.connection.execute(statements.LOCKED_SCHEDULE, {"of_schedule": name}).first()
    if row is None:
        raise ScheduleNotFound(
            f"there is no schedule {name!r}.{nearest(name, names(transaction))} "
            "See: celers schedule list"
        )
    return row
