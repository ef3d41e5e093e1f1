"""A schedule as a row, and a row as a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from celers_worker.core.cron import Cron
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.options import Options
from celers_worker.core.policies import Misfire, Overlap, Policies
from celers_worker.core.schedule import Schedule, Source
from celers_worker.core.timing import Every, Timing

_OPTIONS = tuple(field.name for field in fields(Options) if field.init)
#: What says when it fires: while these stay, ticks that are still to be dealt with stay due.
TIMING = ("cron", "interval_seconds", "time_zone")
_BINDS = {
    "source": "from_source",
    "task_name": "of_task",
    "payload": "with_payload",
    "options": "with_options",
    "cron": "by_cron",
    "interval_seconds": "by_interval",
    "time_zone": "in_zone",
    "misfire": "if_late",
    "misfire_after": "late_after",
    "catch_up": "at_most",
    "overlap": "if_busy",
    "jitter": "spread",
}


def columns_of(schedule: Schedule) -> dict[str, Any]:
    """What the row of *schedule* holds, without its name and how far it has come."""
    timing, policies = schedule.timing, schedule.policies
    return {
        "source": schedule.source.value,
        "task_name": schedule.task,
        "payload": schedule.payload,
        "options": _document(schedule.options),
        "cron": timing.expression if isinstance(timing, Cron) else None,
        "interval_seconds": (
            int(timing.interval.total_seconds()) if isinstance(timing, Every) else None
        ),
        "time_zone": timing.timezone if isinstance(timing, Cron) else "UTC",
        "misfire": policies.misfire.value,
        "misfire_after": policies.misfire_after.total_seconds(),
        "catch_up": policies.catch_up,
        "overlap": policies.overlap.value,
        "jitter": policies.jitter.total_seconds(),
    }


def written_values(schedule: Schedule, due_after: datetime) -> dict[str, Any]:
    """The binds of ADD_SCHEDULE and CHANGE_SCHEDULE; ticks up to *due_after* are dealt with."""
    return {
        "of_schedule": schedule.name,
        "done_until": due_after,
        "next_at": schedule.timing.next_after(due_after),
        **{_BINDS[column]: value for column, value in columns_of(schedule).items()},
    }


def schedule_of(row: Any) -> Schedule:
    """The schedule in *row*. Raises ConfigurationError if this worker cannot read it."""
    try:
        return Schedule(
            name=row.name,
            task=row.task_name,
            timing=_timing(row),
            payload=bytes(row.payload),
            options=Options(**_options(row.options)),
            policies=Policies(
                misfire=Misfire(row.misfire),
                misfire_after=timedelta(seconds=row.misfire_after),
                catch_up=max(1, row.catch_up),
                overlap=Overlap(row.overlap),
                jitter=timedelta(seconds=row.jitter),
            ),
            source=Source(row.source),
        )
    except (ValueError, OverflowError) as error:  # an enum's word, an interval of ages
        raise ConfigurationError(str(error)) from None


def _timing(row: Any) -> Timing:
    if row.cron is not None:
        return Cron(row.cron, row.time_zone)
    return Every(timedelta(seconds=row.interval_seconds or 0))


def _document(options: Options) -> dict[str, Any]:
    """Options as JSON: durations in seconds, what is not set left out."""
    given = {name: getattr(options, name) for name in _OPTIONS}
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in given.items()
        if value is not None
    }


def _options(document: object) -> Mapping[str, Any]:
    found = document if isinstance(document, dict) else {}
    return {name: found[name] for name in _OPTIONS if name in found}
