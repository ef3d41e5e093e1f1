"""``celers dlq``: the dead letter queue: list, show, requeue and purge dead tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli import queue_figures
from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.batches import in_batches
from celers_worker.cli.choosing import (
    DURATION,
    TASK_ID,
    common_filters,
    filter_of,
    limited,
    require_choice,
    unknown,
)
from celers_worker.cli.failure import Failed, Interrupted
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import count, format_option, note, say
from celers_worker.cli.program import Family
from celers_worker.cli.task import show_list, show_task
from celers_worker.core.task import TaskState

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.inspect import TaskFilter

_DEAD = (TaskState.FAILED,)

_ids = click.argument("ids", metavar="[ID]...", nargs=-1, type=TASK_ID)
_all = click.option("--all", "everything", is_flag=True, help="Every dead task.")
_limit = click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="At most so many, the oldest first."
)


@click.group("dlq", cls=Family)
def command() -> None:
    """List, show, count, requeue and purge dead tasks."""


@command.command("list")
@common_filters
@limited
@format_option
@click.pass_obj
def list_(
    invocation: Invocation, /, limit: int, after: UUID | None, style: str, **chosen: Any
) -> None:
    """List dead tasks, the newest first."""
    with invocation.store() as store:
        from celers_worker.store import inspect

        wanted = filter_of(chosen, states=_DEAD)
        views = store.run(inspect.list_tasks, wanted, limit=limit, before=after, payloads=False)
    show_list(views, style, limit, "See the others: celers task list")


@command.command("show")
@click.argument("task_id", metavar="ID", type=TASK_ID)
@format_option
@click.pass_obj
def show(invocation: Invocation, task_id: UUID, style: str) -> None:
    """Show everything about a dead task.

    Its payload, and the traceback of every attempt.
    """
    with invocation.store() as store:
        from celers_worker.store import inspect

        view = store.run(inspect.task, task_id)
        if view is not None and view.state is not TaskState.FAILED:
            raise Failed(f"{task_id} is {view.state}, not dead. See: celers task show {task_id}")
        show_task(store, task_id, style)


@command.command("stats")
@common_filters
@click.option(
    "--by",
    type=click.Choice(["error", "name"]),
    default="error",
    show_default=True,
    help="A line for each name and kind of error, or for each name.",
)
@format_option
@click.pass_obj
def stats(invocation: Invocation, /, by: str, style: str, **chosen: Any) -> None:
    """Count dead tasks by name and kind of error.

    The most frequent come first.
    """
    with invocation.store() as store:
        from celers_worker.store import figures

        wanted = filter_of(chosen, states=_DEAD)
        found = store.run(figures.count_dead, wanted, by_error=by == "error")
    queue_figures.show_dead(found, style)


@command.command("requeue")
@_ids
@_all
@common_filters
@_limit
@click.option("--delay", type=DURATION, metavar="DURATION", default="0s", help="Due only then.")
@dry_run_option
@yes_option
@click.pass_obj
def requeue(
    invocation: Invocation,
    /,
    ids: tuple[UUID, ...],
    everything: bool,
    limit: int | None,
    delay: timedelta,
    dry_run: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Make dead tasks pending again.

    They start anew, with all their attempts; what is known of the earlier ones stays.
    """
    require_choice(chosen, ids, everything=everything, verb="requeue")
    with invocation.store() as store:
        problems = _misnamed(store, ids)
        wanted = filter_of(chosen, ids=ids, states=_DEAD)
        total = _total(store, wanted, limit, f"would requeue {{}}{_later(delay)}.", dry_run)
        if total and not dry_run:
            # It can be undone, so a script need not confirm it.
            confirm(f"Requeue {count(total, 'dead task')}?", yes=yes or bool(ids), required=False)
            _requeue(store, wanted, delay, total)
    if problems:
        raise Failed(*problems)


def _requeue(store: DirectStore, wanted: TaskFilter, delay: timedelta, total: int) -> None:
    from celers_worker.store import control

    done: list[UUID] = []
    conflicts: list[UUID] = []
    after: UUID | None = None

    def step(limit: int) -> int:
        nonlocal after
        batch = store.run(control.requeue, wanted, delay=delay, limit=limit, after=after)
        done.extend(batch.ids)
        conflicts.extend(batch.conflicts)
        met = [*batch.ids, *batch.conflicts]
        # What stays must not be met again, or the work would have no end.
        after = max(met, default=after)
        return len(met)

    finished = in_batches(step, total=total, words="Requeueing")
    told = f"requeued {count(len(done), 'task')}{_later(delay)}"
    if conflicts:
        note(
            f"{count(len(conflicts), 'dead task')} stayed: a live task has the unique key. "
            f"The first is {conflicts[0]}"
        )
    if not finished:
        raise Interrupted(f"{told}; the others are still dead. Run it again to go on.")
    say(f"{told}.")


@command.command("purge")
@_ids
@_all
@common_filters
@_limit
@dry_run_option
@yes_option
@click.pass_obj
def purge(
    invocation: Invocation,
    /,
    ids: tuple[UUID, ...],
    everything: bool,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Delete dead tasks for good."""
    require_choice(chosen, ids, everything=everything, verb="purge")
    with invocation.store() as store:
        problems = _misnamed(store, ids)
        wanted = filter_of(chosen, ids=ids, states=_DEAD)
        total = _total(store, wanted, limit, "would delete {} for good.", dry_run)
        if total and not dry_run:
            confirm(f"Delete {count(total, 'dead task')} for good?", yes=yes)
            _purge(store, wanted, total)
    if problems:
        raise Failed(*problems)


def _purge(store: DirectStore, wanted: TaskFilter, total: int) -> None:
    from celers_worker.store import control

    done = 0

    def step(limit: int) -> int:
        nonlocal done
        batch = store.run(control.purge_dead, wanted, limit=limit)
        done += batch
        return batch

    finished = in_batches(step, total=total, words="Deleting")
    if not finished:
        raise Interrupted(f"deleted {count(done, 'dead task')}; the others are still there.")
    say(f"deleted {count(done, 'dead task')}.")


def _total(
    store: DirectStore, wanted: TaskFilter, limit: int | None, dry: str, dry_run: bool
) -> int:
    """How many tasks are meant; says so if that is all, or if there are none."""
    from celers_worker.store import inspect

    total = store.run(inspect.count_tasks, wanted)
    total = total if limit is None else min(total, limit)
    if dry_run:
        say(dry.format(count(total, "dead task")))
    elif not total and not wanted.ids:
        say("no dead task matches: nothing to do.")
    return total


def _misnamed(store: DirectStore, ids: tuple[UUID, ...]) -> list[str]:
    """Say of those *ids* that name no dead task what they do name."""
    from celers_worker.store import inspect

    found = {task_id: store.run(inspect.task, task_id) for task_id in dict.fromkeys(ids)}
    return [
        unknown(task_id) if view is None else f"{task_id} is {view.state}, not dead."
        for task_id, view in found.items()
        if view is None or view.state is not TaskState.FAILED
    ]


def _later(delay: timedelta) -> str:
    from celers_worker.core.duration import format_duration

    return f", due in {format_duration(delay)}" if delay else ""
