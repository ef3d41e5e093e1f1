"""``celers task``: list, show, count, cancel, retry and wait for tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli import result, task_change, task_history, task_logs, task_view
from celers_worker.cli.asking import confirm, dry_run_option, reason_option, yes_option
from celers_worker.cli.batches import in_batches
from celers_worker.cli.choosing import (
    DURATION,
    SCHEDULED,
    TASK_ID,
    common_filters,
    filter_of,
    limited,
    live_filters,
    require_choice,
)
from celers_worker.cli.failure import Failed, Interrupted
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import count, format_option, note, say, show_document
from celers_worker.cli.program import Family
from celers_worker.core.duration import LONGEST
from celers_worker.core.errors import CelersError, ConfigurationError, StoreError, TaskNotFound
from celers_worker.core.task import LIVE, TaskState

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.inspect import TaskFilter, TaskView


@click.group("task", cls=Family)
def command() -> None:
    """List, show, change, cancel, retry and wait for tasks."""


@command.command("list")
@live_filters
@common_filters
@limited
@format_option
@click.pass_obj
def list_(
    invocation: Invocation, /, limit: int, after: UUID | None, style: str, **chosen: Any
) -> None:
    """List tasks, the newest first."""
    with invocation.store() as store:
        from celers_worker.store import inspect

        views = store.run(
            inspect.list_tasks, filter_of(chosen), limit=limit, before=after, payloads=False
        )
    show_list(views, style, limit, "Add one: celers enqueue NAME key=value")


def show_list(views: list[TaskView], style: str, limit: int, otherwise: str) -> None:
    """Print tasks, and how to go on."""
    if style == "json":
        show_document([task_view.document(view) for view in views])
    elif views:
        task_view.show_rows(views)
        if len(views) == limit:
            note(f"There may be more: say the same with --after {views[-1].id}")
    else:
        note(f"No such tasks. {otherwise}")


@command.command("count")
@live_filters
@common_filters
@format_option
@click.pass_obj
def count_(invocation: Invocation, /, style: str, **chosen: Any) -> None:
    """Count tasks."""
    with invocation.store() as store:
        from celers_worker.store import inspect

        number = store.run(inspect.count_tasks, filter_of(chosen))
    if style == "json":
        show_document({"count": number})
    else:
        say(str(number))


@command.command("show")
@click.argument("task_id", metavar="ID", type=TASK_ID)
@format_option
@click.pass_obj
def show(invocation: Invocation, task_id: UUID, style: str) -> None:
    """Show everything about a task.

    Its payload, its failed attempts with their tracebacks, its result, what its handler logged.
    """
    with invocation.store() as store:
        show_task(store, task_id, style)


def show_task(store: DirectStore, task_id: UUID, style: str) -> None:
    """Print everything about a task."""
    from celers_worker.store import history, inspect, progress, results, run_logs

    view = store.run(inspect.task, task_id)
    if view is None:
        raise TaskNotFound(task_view.unknown(task_id))
    attempts = store.run(inspect.attempts_of, task_id)
    dossier = task_view.Dossier(
        view,
        attempts,
        store.run(results.ending_of, task_id),
        store.run(progress.progress_of, task_id),
        store.run(history.transitions_of, task_id),
        store.run(run_logs.logs_of, task_id),
    )
    if style == "json":
        show_document(task_view.full_document(dossier))
    else:
        task_view.show_page(dossier)


@command.command("cancel")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=TASK_ID)
@live_filters
@common_filters
@reason_option
@dry_run_option
@yes_option
@click.pass_obj
def cancel(
    invocation: Invocation,
    /,
    ids: tuple[UUID, ...],
    reason: str,
    dry_run: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Cancel tasks, by id or by filters.

    A task that waits is cancelled at once, one that runs is asked to stop.
    """
    require_choice(chosen, ids, everything=None, verb="cancel")
    with invocation.store() as store:
        if ids:
            _cancel_by_id(store, ids, reason, dry_run=dry_run)
            return
        from celers_worker.store import inspect

        named = [TaskState(state) for state in chosen["states"] if state != SCHEDULED]
        states = named if chosen["states"] else sorted(LIVE)
        if ended := [state for state in states if state not in LIVE]:
            raise ConfigurationError(f"tasks that are {ended[0]} have ended: nothing to cancel.")
        wanted = filter_of(chosen, states=states)
        total = store.run(inspect.count_tasks, wanted)
        if dry_run:
            say(f"would cancel {count(total, 'task')}.")
        elif total == 0:
            say("no live task matches: nothing to cancel.")
        else:
            confirm(f"Cancel {count(total, 'task')}?", yes=yes)
            _cancel_all(store, wanted, reason, total)


def _cancel_all(store: DirectStore, wanted: TaskFilter, reason: str, total: int) -> None:
    from celers_worker.store import control

    cancelled = requested = 0

    def step(limit: int) -> int:
        nonlocal cancelled, requested
        batch = store.run(control.cancel, wanted, reason, limit=limit)
        cancelled += len(batch.cancelled)
        requested += len(batch.requested)
        return len(batch.cancelled) + len(batch.requested)

    finished = in_batches(step, total=total, words="Cancelling")
    told = f"cancelled {count(cancelled, 'task')}"
    if requested:
        told += f", asked the workers to stop {requested:,} more that run"
    if not finished:
        raise Interrupted(f"{told}; the others are as they were.")
    say(f"{told}.")


def _cancel_by_id(store: DirectStore, ids: tuple[UUID, ...], reason: str, *, dry_run: bool) -> None:
    from celers_worker.store import control, inspect

    problems: list[str] = []
    for task_id in dict.fromkeys(ids):
        if not dry_run:
            store.run(control.cancel, filter_of({}, ids=[task_id]), reason)
        view = store.run(inspect.task, task_id)
        if view is None:
            problems.append(task_view.unknown(task_id))
        elif view.state in LIVE:
            say(f"{task_id} {'would be cancelled' if dry_run else 'is asked to stop'}.")
        elif view.state is TaskState.CANCELLED:
            say(f"{task_id} is cancelled.")
        else:
            problems.append(f"{task_id} has ended already: it is {view.state}.")
    if problems:
        raise Failed(*problems)


@command.command("retry")
@click.argument("ids", metavar="ID...", nargs=-1, type=TASK_ID, required=True)
@dry_run_option
@click.pass_obj
def retry(invocation: Invocation, ids: tuple[UUID, ...], dry_run: bool) -> None:
    """Make tasks due now.

    A dead, cancelled or expired task starts anew, with all its attempts.
    """
    from celers_worker.store import control, inspect

    problems: list[str] = []
    with invocation.store() as store:
        for task_id in dict.fromkeys(ids):
            try:
                if dry_run:
                    view = store.run(inspect.task, task_id)
                    was = None if view is None else view.state
                else:
                    was = store.run(control.retry, task_id)
            except StoreError:
                raise
            except CelersError as error:  # a live task has its unique key
                problems.append(str(error))
                continue
            match was:
                case None:
                    problems.append(task_view.unknown(task_id))
                case TaskState.PENDING:
                    say(f"{task_id} {'would be' if dry_run else 'is'} due now.")
                case TaskState.FAILED | TaskState.CANCELLED | TaskState.EXPIRED:
                    now = "is" if dry_run else "was"
                    then = "would be pending again" if dry_run else "is pending again"
                    say(f"{task_id} {now} {was} and {then}.")
                case _:
                    problems.append(f"{task_id} is {was}: it was left alone.")
    if problems:
        raise Failed(*problems)


@command.command("wait")
@click.argument("task_id", metavar="ID", type=TASK_ID)
@click.option("--timeout", type=DURATION, metavar="DURATION", help="Wait no longer than this.")
@click.pass_obj
def wait(invocation: Invocation, task_id: UUID, timeout: timedelta | None) -> None:
    """Wait until a task has ended, and print its result.

    The result is JSON. It is a failure if the task did not complete.
    """
    limit = LONGEST if timeout is None else timeout
    show_document(result.wait_for(invocation, task_id, limit).result())


command.add_command(result.command)
for _one in (task_change.update, task_change.reschedule, task_change.move):
    command.add_command(_one)
command.add_command(task_change.reprioritise)
command.add_command(task_history.of_task)
command.add_command(task_logs.command)
