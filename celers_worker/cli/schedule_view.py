"""A schedule as people and programs see it: a row of a table, a page, a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.output import Column, age, printable, show_table
from celers_worker.core.errors import ScheduleNotFound
from celers_worker.core.names import nearest

if TYPE_CHECKING:
    from celers_worker.core.schedule import Schedule
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.schedule_views import ScheduleView, TickView

_COLUMNS = (
    Column("NAME"),
    Column("STATE"),
    Column("WHEN"),
    Column("NEXT"),
    Column("LAST"),
    Column("TASK"),
    Column("FROM"),
)
_TICKS = (
    Column("TICK"),
    Column("OUTCOME"),
    Column("TASK"),
    Column("STATE"),
    Column("STANDS FOR"),
)


def show_rows(views: Sequence[ScheduleView]) -> None:
    """Print a line for each schedule."""
    show_table(_COLUMNS, [_row(view) for view in views])


def show_ticks(views: Sequence[TickView]) -> None:
    """Print a line for each tick."""
    show_table(_TICKS, [_tick_row(view) for view in views])


def show_page(view: ScheduleView) -> None:
    """Print everything about a schedule."""
    lines = [(title, text) for title, text in _facts(view) if text]
    width = max(len(title) for title, _ in lines)
    for title, text in lines:
        click.echo(f"{click.style(title.ljust(width), bold=True)}  {printable(text)}")


def document(view: ScheduleView) -> dict[str, Any]:
    """A schedule for programs; the keys are part of the interface."""
    return {
        "name": view.name,
        "state": state(view),
        "source": view.source,
        "task": view.task,
        **(_parts(view.schedule) if view.schedule else {}),
        "next_tick": _next(view),
        "last_tick": view.last_tick,
        "waiting_tick": view.waiting_tick,
        "paused_at": view.paused_at,
        "paused_reason": view.paused_reason,
        "created_at": view.created_at,
        "changed_at": view.changed_at,
        "problem": view.problem,
    }


def tick_document(view: TickView) -> dict[str, Any]:
    """A tick for programs; the keys are part of the interface."""
    return {
        "schedule": view.schedule,
        "tick": view.tick,
        "outcome": view.outcome,
        "since": view.since,
        "task_id": view.task_id,
        "state": view.state,
        "decided_at": view.decided_at,
    }


def state(view: ScheduleView) -> str:
    """A word for how a schedule is."""
    if view.paused_at is not None:
        return "paused"
    if view.problem is not None:
        return "unreadable"
    if not view.declared:
        return "undeclared"
    return "waiting" if view.waiting_tick is not None else "active"


def instant(moment: datetime | None) -> str:
    """An instant in UTC, to the second, and how far away it is."""
    return "" if moment is None else f"{_written(moment)} ({age(moment)})"


def _parts(schedule: Schedule) -> dict[str, Any]:
    from celers_worker.core.cron import Cron
    from celers_worker.core.payload import decode
    from celers_worker.core.timing import Every

    timing, policies, options = schedule.timing, schedule.policies, schedule.options
    return {
        "cron": timing.expression if isinstance(timing, Cron) else None,
        "every": timing.interval.total_seconds() if isinstance(timing, Every) else None,
        "timezone": timing.timezone if isinstance(timing, Cron) else None,
        "arguments": decode(schedule.payload),
        "queue": options.queue,
        "priority": options.priority,
        "max_retries": options.max_retries,
        "misfire": policies.misfire.value,
        "misfire_after": policies.misfire_after.total_seconds(),
        "catch_up": policies.catch_up,
        "overlap": policies.overlap.value,
        "jitter": policies.jitter.total_seconds(),
    }


def _row(view: ScheduleView) -> tuple[str, ...]:
    from celers_worker.core.timing import shown

    return (
        view.name,
        state(view),
        shown(view.schedule.timing) if view.schedule else "",
        age(_next(view)),
        age(view.last_tick),
        view.task,
        view.source,
    )


def _tick_row(view: TickView) -> tuple[str, ...]:
    return (
        _written(view.tick),
        view.outcome,
        str(view.task_id or ""),
        view.state or "",
        "" if view.since is None else f"all since {_written(view.since)}",
    )


def _facts(view: ScheduleView) -> Iterator[tuple[str, str]]:
    from celers_worker.core.duration import format_duration
    from celers_worker.core.timing import shown

    yield "name", view.name
    yield "state", state(view)
    yield "problem", view.problem or ""
    yield "paused", "" if view.paused_at is None else f"{age(view.paused_at)} {view.paused_reason}"
    yield "from", view.source
    yield "task", view.task
    schedule = view.schedule
    if schedule is not None:
        policies, options = schedule.policies, schedule.options
        yield "when", shown(schedule.timing)
        yield "arguments", schedule.payload.decode()
        yield "queue", options.queue or "default"
        yield "priority", str(options.priority or 0)
        late = format_duration(policies.misfire_after)
        yield "misfire", f"{policies.misfire} after {late}, at most {policies.catch_up}"
        yield "overlap", policies.overlap.value
        yield "jitter", format_duration(policies.jitter) if policies.jitter else ""
    yield "next", instant(_next(view))
    yield "last", instant(view.last_tick)
    yield "waiting", instant(view.waiting_tick)
    yield "added", instant(view.created_at)
    yield "changed", instant(view.changed_at)


def _next(view: ScheduleView) -> datetime | None:
    """When it fires next; one that does not has no such time."""
    return view.next_tick if state(view) in ("active", "waiting") else None


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def find_all(store: DirectStore, name: str | None = None) -> list[ScheduleView]:
    """All schedules, or the one called *name*."""
    from celers_worker.store import schedule_views

    return store.run(schedule_views.list_schedules, name)


def find(store: DirectStore, name: str) -> ScheduleView:
    """The schedule *name*. Raises ScheduleNotFound with the nearest name."""
    from celers_worker.store import schedule_views

    views = find_all(store, name)
    if not views:
        hint = nearest(name, store.run(schedule_views.names))
        raise ScheduleNotFound(f"there is no schedule {name!r}.{hint} See: celers schedule list")
    return views[0]
