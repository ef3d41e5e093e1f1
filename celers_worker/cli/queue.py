"""``celers queue``: list, count, pause, resume and purge queues."""

from __future__ import annotations

import getpass
import os
import platform
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli import handlers_held, queue_figures, task_history
from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.batches import in_batches
from celers_worker.cli.choosing import QUEUE, TASK_NAME
from celers_worker.cli.failure import Failed, Interrupted
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    age,
    count,
    format_option,
    note,
    say,
    show_document,
    show_table,
    span,
)
from celers_worker.cli.program import Family
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celers_worker.store.survey import QueueView

_queue = click.argument("queue", metavar="QUEUE", type=QUEUE)

_LIST = (
    Column("QUEUE"),
    Column("STATE"),
    Column("WAITING", right=True),
    Column("RUNNING", right=True),
    Column("DEAD", right=True),
)
_STATS = (
    Column("QUEUE"),
    Column("PENDING", right=True),
    Column("SCHEDULED", right=True),
    Column("BLOCKED", right=True),
    Column("PROCESSING", right=True),
    Column("DEAD", right=True),
    Column("OLDEST", right=True),
    Column("WORKERS", right=True),
    Column("PAUSED", cut=True),
)


def _queue_or_handler(function: Any) -> Any:
    """Let a command be about a queue, or with --handler about a handler."""
    handler = click.option(
        "--handler", type=TASK_NAME, metavar="NAME", help="Not a queue: this handler."
    )
    queue = click.argument("queue", metavar="[QUEUE]", type=QUEUE, required=False)
    return queue(handler(function))


@click.group("queue", cls=Family)
def command() -> None:
    """List, count, pause, resume, purge and audit queues."""


@command.command("list")
@format_option
@click.pass_obj
def list_(invocation: Invocation, style: str) -> None:
    """List the queues that have tasks, dead ones, workers or a pause."""
    with invocation.store() as store:
        views, held = _views_of(store), handlers_held.held(store)
    if style == "json":
        show_document([_document(view) for view in views])
    elif views:
        show_table(_LIST, [_row(view) for view in views])
    else:
        _say_empty()
    for one in held:
        note(f"Held: {handlers_held.sentence(one)}. See: celers handlers held")


@command.command("stats")
@click.argument("queue", metavar="[QUEUE]", type=QUEUE, required=False)
@click.option("--by", type=click.Choice(["name"]), help="A line for each name.")
@click.option("--ages", is_flag=True, help="How long the due tasks have been waiting.")
@format_option
@click.pass_obj
def stats(
    invocation: Invocation, queue: str | None, by: str | None, ages: bool, style: str
) -> None:
    """Count the tasks of the queues by state.

    OLDEST is how long the task that has been due longest has been waiting. Of those that ended:
    celers stats
    """
    if ages and by:
        raise ConfigurationError("--ages and --by name are two lists: choose one.")
    views = _views(invocation)
    if queue is not None:
        known = [view.name for view in views]
        views = [view for view in views if view.name == queue]
        if not views:
            raise Failed(
                f"there is no queue {queue!r}.{nearest(queue, known)} See: celers queue list"
            )
    if ages or by:
        _show_more(invocation, queue, ages=ages, style=style)
    elif style == "json":
        documents = [_document(view) for view in views]
        show_document(documents if queue is None else documents[0])
    elif views:
        show_table(_STATS, [_counts(view) for view in views])
    else:
        _say_empty()


@command.command("pause")
@_queue_or_handler
@click.option("--reason", metavar="TEXT", help="Why, for whoever wonders.")
@click.pass_obj
def pause(
    invocation: Invocation, queue: str | None, handler: str | None, reason: str | None
) -> None:
    """Let no worker start tasks of a queue or a handler.

    Those that run are left to end. Tasks of a handler are held whatever their queue, within a
    heartbeat, on PostgreSQL at once.
    """
    from celers_worker.store import control, orders

    _one_of(queue, handler)
    by = f"{who()}: {reason}" if reason else f"by {who()}"
    with invocation.store() as store:
        if handler is not None:
            known = handlers_held.names(store)
            store.run(orders.pause, handler, by)
            say(f"{handler} is paused. Go on with: celers queue resume --handler {handler}")
            if handler not in known:
                note(f"Note: no live worker has a handler {handler!r}.{nearest(handler, known)}")
            return
        assert queue is not None, "one of both is there"
        known = [view.name for view in _views_of(store)]
        store.run(control.pause, queue, by)
    say(f"{queue} is paused. Go on with: celers queue resume {queue}")
    if queue not in known:
        note(f"Note: no task and no worker knows a queue {queue!r} yet.{nearest(queue, known)}")


@command.command("resume")
@_queue_or_handler
@click.pass_obj
def resume(invocation: Invocation, queue: str | None, handler: str | None) -> None:
    """Let workers start tasks of a queue or a handler again.

    The circuit of a handler is closed too, if it is open.
    """
    from celers_worker.store import control, orders

    _one_of(queue, handler)
    with invocation.store() as store:
        if handler is not None:
            held = [one.name for one in store.run(orders.held)]
            freed = store.run(orders.resume, handler)
            say(
                f"{handler} is resumed."
                if freed
                else f"{handler} was not held.{nearest(handler, held)}"
            )
            return
        assert queue is not None, "one of both is there"
        if store.run(control.resume, queue):
            say(f"{queue} is resumed.")
            return
        known = [view.name for view in _views_of(store) if view.paused_at is not None]
    say(f"{queue} was not paused.{nearest(queue, known)}")


@command.command("purge")
@_queue
@dry_run_option
@yes_option
@click.pass_obj
def purge(invocation: Invocation, queue: str, dry_run: bool, yes: bool) -> None:
    """Cancel the waiting tasks of a queue.

    Those that run are left to end.
    """
    from celers_worker.store import control

    with invocation.store() as store:
        [total] = [
            view.pending + view.scheduled + view.blocked
            for view in _views_of(store)
            if view.name == queue
        ] or [0]
        if dry_run:
            say(f"would cancel {count(total, 'waiting task')} of {queue}.")
            return
        if not total:
            say(f"no task waits in {queue}: nothing to do.")
            return
        confirm(f"Cancel {count(total, 'waiting task')} of {queue}?", yes=yes)
        cancelled = 0

        def step(limit: int) -> int:
            nonlocal cancelled
            batch = store.run(control.purge_queue, queue, limit=limit)
            cancelled += batch
            return batch

        finished = in_batches(step, total=total, words="Cancelling")
    told = f"cancelled {count(cancelled, 'waiting task')} of {queue}"
    if not finished:
        raise Interrupted(f"{told}; the others still wait.")
    say(f"{told}.")


command.add_command(task_history.of_queue)


def _one_of(queue: str | None, handler: str | None) -> None:
    if (queue is None) is (handler is None):
        raise ConfigurationError("which one? Give a queue, or --handler NAME.")


def _show_more(invocation: Invocation, queue: str | None, *, ages: bool, style: str) -> None:
    from celers_worker.store import figures

    with invocation.store() as store:
        if ages:
            queue_figures.show_ages(store.run(figures.ages, queue), style)
        else:
            queue_figures.show_names(store.run(figures.count_names, queue), style)


def _views(invocation: Invocation) -> Sequence[QueueView]:
    with invocation.store() as store:
        return _views_of(store)


def _views_of(store: Any) -> Sequence[QueueView]:
    from celers_worker.store import survey

    views: Sequence[QueueView] = store.run(survey.list_queues)
    return views


def _document(view: QueueView) -> dict[str, Any]:
    return {
        "name": view.name,
        "pending": view.pending,
        "scheduled": view.scheduled,
        "blocked": view.blocked,
        "processing": view.processing,
        "dead": view.dead,
        "oldest_pending_seconds": view.oldest_pending,
        "workers": view.workers,
        "paused_at": view.paused_at,
        "paused_reason": view.paused_reason,
    }


def _row(view: QueueView) -> tuple[str, ...]:
    waiting = view.pending + view.scheduled + view.blocked
    state = "paused" if view.paused_at else "open" if view.workers else "no worker"
    return view.name, state, f"{waiting:,}", f"{view.processing:,}", f"{view.dead:,}"


def _counts(view: QueueView) -> tuple[str, ...]:
    paused = f"{age(view.paused_at)} {view.paused_reason or ''}" if view.paused_at else ""
    return (
        view.name,
        f"{view.pending:,}",
        f"{view.scheduled:,}",
        f"{view.blocked:,}",
        f"{view.processing:,}",
        f"{view.dead:,}",
        "" if view.oldest_pending is None else span(view.oldest_pending),
        str(view.workers),
        paused.strip(),
    )


def _say_empty() -> None:
    note("No queues yet: they come with the first task. Add one: celers enqueue NAME key=value")


def who() -> str:
    """The person who runs this command, for those who wonder."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{platform.node() or 'unknown'}"
