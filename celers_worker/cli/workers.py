"""``celers workers``: who runs tasks, and what they are asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from celers_worker.cli import workers_view
from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.failure import Failed
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import count, format_option, note, say, show_document, show_table
from celers_worker.cli.program import Family
from celers_worker.cli.queue import who
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest
from celers_worker.core.orders import WorkerState

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.survey import WorkerView

MOST_PERMITS = 100_000

_some = click.argument("wanted", metavar="[WORKER]...", nargs=-1)
_everybody = click.option("--all", "everybody", is_flag=True, help="Every worker that lives.")


@click.group("workers", cls=Family)
def command() -> None:
    """List, show, quiet, resume, scale, drain and stop workers.

    A WORKER is an id, the beginning of one, or a name that only one has. Orders are followed
    within a heartbeat, on PostgreSQL at once. They are the process's own: another one that takes
    its place begins without them.
    """


@command.command("list")
@format_option
@click.pass_obj
def list_(invocation: Invocation, style: str) -> None:
    """List the workers.

    Those that live, and those lost within the last hour.
    """
    with invocation.store() as store:
        views = _views(store)
    if style == "json":
        show_document([workers_view.document(view) for view in views])
    elif views:
        show_table(workers_view.COLUMNS, [workers_view.row(view) for view in views])
    else:
        note("No workers. Start one: celers worker")


@command.command("show")
@click.argument("wanted", metavar="WORKER")
@format_option
@click.pass_obj
def show(invocation: Invocation, wanted: str, style: str) -> None:
    """Show a worker with its limits and what it runs."""
    with invocation.store() as store:
        from celers_worker.store import running

        [view] = _chosen(store, (wanted,), everybody=False, lost=True)
        tasks = store.run(running.tasks_of, view.id)
    if style == "json":
        show_document(workers_view.full_document(view, tasks))
    else:
        workers_view.show_page(view, tasks)


@command.command("quiet")
@_some
@_everybody
@click.pass_obj
def quiet(invocation: Invocation, wanted: tuple[str, ...], everybody: bool) -> None:
    """Let workers claim no more. What they run is left to end; they stay."""
    with invocation.store() as store:
        told = _tell(store, _chosen(store, wanted, everybody=everybody), WorkerState.QUIET)
    say(f"{told} told to be quiet. Go on with: celers workers resume {_again(wanted)}")


@command.command("resume")
@_some
@_everybody
@click.pass_obj
def resume(invocation: Invocation, wanted: tuple[str, ...], everybody: bool) -> None:
    """Let workers claim again that are quiet or drain."""
    with invocation.store() as store:
        told = _tell(store, _chosen(store, wanted, everybody=everybody), WorkerState.RUNNING)
    say(f"{told} told to go on. See: celers workers list")


@command.command("drain")
@_some
@_everybody
@dry_run_option
@yes_option
@click.pass_obj
def drain(
    invocation: Invocation, wanted: tuple[str, ...], everybody: bool, dry_run: bool, yes: bool
) -> None:
    """Let workers claim no more, and stop when nothing runs.

    However long that takes.
    """
    _end(invocation, wanted, everybody, WorkerState.DRAINING, dry_run=dry_run, yes=yes)


@command.command("stop")
@_some
@_everybody
@dry_run_option
@yes_option
@click.pass_obj
def stop(
    invocation: Invocation, wanted: tuple[str, ...], everybody: bool, dry_run: bool, yes: bool
) -> None:
    """Stop workers as SIGTERM does: what runs has worker.grace to end.

    A supervisor of several processes starts no other in its place. Other supervisors may: one with
    `Restart=always` does.
    """
    _end(invocation, wanted, everybody, WorkerState.STOPPING, dry_run=dry_run, yes=yes)


@command.command("scale")
@_some
@click.argument("concurrency", metavar="N", type=click.IntRange(1, MOST_PERMITS))
@_everybody
@click.pass_obj
def scale(
    invocation: Invocation, wanted: tuple[str, ...], concurrency: int, everybody: bool
) -> None:
    """Let workers run N tasks at once.

    What runs beyond that is left to end. Limits of queues and handlers stay as they are, and so
    does the number of threads for plain functions. A worker that starts anew has its own setting
    again: worker.concurrency
    """
    with invocation.store() as store:
        from celers_worker.store import orders

        chosen = _chosen(store, wanted, everybody=everybody)
        asked = store.run(orders.want_concurrency, _ids(chosen), concurrency, who())
    say(f"{count(asked, 'worker')} told to run {concurrency:,} at once. See: celers workers list")


def _end(
    invocation: Invocation,
    wanted: tuple[str, ...],
    everybody: bool,
    state: WorkerState,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    verb = "drain" if state is WorkerState.DRAINING else "stop"
    with invocation.store() as store:
        chosen = _chosen(store, wanted, everybody=everybody)
        running = sum(view.running for view in chosen)
        whom = f"{count(len(chosen), 'worker')} with {count(running, 'running task')}"
        if dry_run:
            say(f"would {verb} {whom}.")
            return
        confirm(f"{verb.capitalize()} {whom}?", yes=yes, required=everybody)
        told = _tell(store, chosen, state)
    say(f"{told} told to {verb}. See: celers workers list")


def _tell(store: DirectStore, chosen: Sequence[WorkerView], state: WorkerState) -> str:
    from celers_worker.store import orders

    asked = store.run(orders.want_state, _ids(chosen), state, who())
    if not asked:
        raise Failed(
            "nobody was told: they stop already, or have just gone. See: celers workers list"
        )
    return count(asked, "worker")


def _chosen(
    store: DirectStore, wanted: Sequence[str], *, everybody: bool, lost: bool = False
) -> list[WorkerView]:
    """The workers that are meant: each must be one, and alive unless *lost* will do."""
    if bool(wanted) is everybody:
        raise ConfigurationError("which workers? Give ids, beginnings of ids or names, or --all.")
    views = _views(store)
    alive = [view for view in views if lost or view.state != "lost"]
    if everybody:
        if not alive:
            raise Failed("no worker lives. Start one: celers worker")
        return alive
    problems: list[str] = []
    chosen: dict[str, WorkerView] = {}
    for text in wanted:
        found = [view for view in alive if text in (view.id, view.name)] or [
            view for view in alive if view.id.startswith(text)
        ]
        if len(found) == 1:
            chosen[found[0].id] = found[0]
        else:
            problems.append(_problem(text, found, views))
    if problems:
        raise Failed(*problems)
    return list(chosen.values())


def _problem(text: str, found: Sequence[WorkerView], views: Sequence[WorkerView]) -> str:
    if found:
        ids = ", ".join(view.id for view in found[:5])
        return f"{text[:80]!r} may be {count(len(found), 'worker')}: {ids}. Give a whole id."
    if any(text in (view.id, view.name) or view.id.startswith(text) for view in views):
        return f"worker {text[:80]!r} is lost: it reads no orders. See: celers workers list"
    hint = nearest(text, [name for view in views for name in (view.name, view.id)])
    return f"there is no worker {text[:80]!r}.{hint} See: celers workers list"


def _views(store: DirectStore) -> list[WorkerView]:
    from celers_worker.store import survey

    return store.run(survey.list_workers)


def _ids(chosen: Sequence[WorkerView]) -> list[str]:
    return [view.id for view in chosen]


def _again(wanted: Sequence[str]) -> str:
    return " ".join(wanted) or "--all"
