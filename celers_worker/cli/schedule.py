"""``celers schedule``: list, show, add, remove, pause, resume, trigger and preview schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from celers_worker.cli import schedule_add, schedule_view
from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.choosing import SCHEDULE, limit_option
from celers_worker.cli.failure import Failed
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import age, format_option, note, say, show_document
from celers_worker.cli.program import Family
from celers_worker.cli.queue import who
from celers_worker.cli.schedule_add import cron_option, every_option, timezone_option
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.core.timing import Timing

_name = click.argument("name", metavar="NAME", type=SCHEDULE)


@click.group("schedule", cls=Family)
def command() -> None:
    """List, show, add, remove, pause, resume, trigger and preview schedules."""


command.add_command(schedule_add.command, "add")


@command.command("list")
@format_option
@click.pass_obj
def list_(invocation: Invocation, style: str) -> None:
    """List the schedules.

    Those that a worker has declared, and those that were added to the database.
    """
    with invocation.store() as store:
        views = schedule_view.find_all(store)
    if style == "json":
        show_document([schedule_view.document(view) for view in views])
    elif views:
        schedule_view.show_rows(views)
    else:
        note(
            "No schedules yet: those of the code come with the first worker. "
            "Add one: celers schedule add NAME TASK --cron @daily"
        )


@command.command("show")
@_name
@format_option
@click.pass_obj
def show(invocation: Invocation, name: str, style: str) -> None:
    """Show everything about a schedule."""
    with invocation.store() as store:
        view = schedule_view.find(store, name)
    if style == "json":
        show_document(schedule_view.document(view))
    else:
        schedule_view.show_page(view)


@command.command("remove")
@_name
@click.option("--force", is_flag=True, help="Even if a worker declares it; it comes back then.")
@dry_run_option
@yes_option
@click.pass_obj
def remove(invocation: Invocation, name: str, force: bool, dry_run: bool, yes: bool) -> None:
    """Remove a schedule.

    What became of its ticks, and the tasks that it has enqueued, are kept.
    """
    from celers_worker.store import schedule_control

    with invocation.store() as store:
        view = schedule_view.find(store, name)
        if dry_run:
            say(f"would remove {name}, which enqueues {view.task}.")
            return
        confirm(f"Remove {name}, which enqueues {view.task}?", yes=yes)
        store.run(schedule_control.remove, name, force=force)
    say(f"{name} is removed.")


@command.command("pause")
@_name
@click.option("--reason", metavar="TEXT", help="Why, for whoever wonders.")
@click.pass_obj
def pause(invocation: Invocation, name: str, reason: str | None) -> None:
    """Let a schedule fire no more.

    A pause outlives deployments.
    """
    from celers_worker.store import schedule_control

    with invocation.store() as store:
        told = f"{who()}: {reason}" if reason else f"by {who()}"
        store.run(schedule_control.pause, name, told)
    say(f"{name} is paused. Go on with: celers schedule resume {name}")


@command.command("resume")
@_name
@click.pass_obj
def resume(invocation: Invocation, name: str) -> None:
    """Let a paused schedule fire again.

    What it would have fired meanwhile is not made up for.
    """
    from celers_worker.store import schedule_control

    with invocation.store() as store:
        resumed = store.run(schedule_control.resume, name)
        view = schedule_view.find(store, name)
    say(f"{name} {'is resumed' if resumed else 'was not paused'}. It fires {age(view.next_tick)}.")


@command.command("trigger")
@_name
@click.pass_obj
def trigger(invocation: Invocation, name: str) -> None:
    """Enqueue the task of a schedule now, and print its id.

    Whatever its policies say, and even if it is paused; its next tick is not affected.
    """
    from celers_worker.store import schedule_control

    with invocation.store() as store:
        task = store.run(schedule_control.trigger, name)
    click.echo(str(task.id))


@command.command("history")
@_name
@limit_option(20, "-l")
@format_option
@click.pass_obj
def history(invocation: Invocation, name: str, limit: int, style: str) -> None:
    """Show what became of the last ticks of a schedule, the newest first."""
    from celers_worker.store import schedule_views

    with invocation.store() as store:
        views = store.run(schedule_views.history, name, limit=limit)
        if not views:
            schedule_view.find(store, name)
    if style == "json":
        show_document([schedule_view.tick_document(view) for view in views])
    elif views:
        schedule_view.show_ticks(views)
    else:
        note(f"{name} has not fired yet. See: celers schedule next {name}")


@command.command("next")
@click.argument("name", metavar="[NAME]", type=SCHEDULE, required=False)
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 1_000),
    metavar="N",
    default=5,
    show_default=True,
    help="How many ticks to foretell.",
)
@cron_option
@every_option
@timezone_option
@format_option
@click.pass_obj
def next_(
    invocation: Invocation,
    name: str | None,
    count: int,
    cron: str | None,
    every: timedelta | None,
    timezone: str | None,
    style: str,
) -> None:
    """Preview when a schedule fires.

    Give the NAME of one that there is, or what it would be: --cron or --every.
    """
    from celers_worker.core.timing import timing_of

    if name is None:
        timing, now = timing_of(cron=cron, every=every, timezone=timezone), datetime.now(UTC)
    elif cron is None and every is None and timezone is None:
        with invocation.store() as store:
            view = schedule_view.find(store, name)
        if view.schedule is None:
            raise Failed(f"{name} cannot be read here: {view.problem}")
        timing, now = view.schedule.timing, view.read_at
        if schedule_view.state(view) in ("paused", "undeclared"):
            note(f"Note: {name} is {schedule_view.state(view)}, so it does not fire.")
    else:
        raise ConfigurationError("NAME says when it fires: give --cron or --every without it.")
    _show_next(timing, now, count, style)


def _show_next(timing: Timing, now: datetime, count: int, style: str) -> None:
    from celers_worker.core.cron import Cron

    ticks: list[datetime] = []
    while len(ticks) < count and (tick := timing.next_after(ticks[-1] if ticks else now)):
        ticks.append(tick)
    if style == "json":
        show_document(ticks)
        return
    zone = ZoneInfo(timing.timezone if isinstance(timing, Cron) else "UTC")
    for tick in ticks:
        say(f"{tick.astimezone(zone):%a %Y-%m-%d %H:%M:%S %z}  {age(tick)}")
