"""``celers workflow``: list, show, cancel, retry and wait for workflows."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import click

from celers_worker.cli import workflow_view
from celers_worker.cli.asking import confirm, dry_run_option, reason_option, yes_option
from celers_worker.cli.batches import bar
from celers_worker.cli.choosing import DURATION, WORKFLOW_ID, limit_option
from celers_worker.cli.failure import Failed
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    count,
    format_option,
    note,
    on_terminal,
    say,
    show_document,
)
from celers_worker.cli.program import Family
from celers_worker.core.duration import LONGEST, format_duration
from celers_worker.core.errors import ResultTimeout, TaskNotFound
from celers_worker.core.workflow import WorkflowState

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.workflow.inspect import Graph

_id = click.argument("workflow_id", metavar="ID", type=WORKFLOW_ID)
_STATES = click.Choice([state.value for state in WorkflowState])
#: Between two looks at a workflow that is waited for, in seconds.
_LOOK = 0.5


@click.group("workflow", cls=Family)
def command() -> None:
    """List, show, cancel, retry and wait for workflows."""


@command.command("list")
@click.option(
    "-s", "--state", "states", multiple=True, type=_STATES, help="Only in this state; repeatable."
)
@click.option("--name", metavar="TEXT", help="Only of this name.")
@limit_option(50)
@click.option("--before", type=WORKFLOW_ID, metavar="ID", help="Go on after the last of a list.")
@format_option
@click.pass_obj
def list_(
    invocation: Invocation,
    states: tuple[str, ...],
    name: str | None,
    limit: int,
    before: UUID | None,
    style: str,
) -> None:
    """List workflows, the newest first, with how far they are."""
    with invocation.store() as store:
        from celers_worker.store.workflow import inspect

        wanted = [WorkflowState(state) for state in states]
        views = store.run(
            inspect.list_workflows, states=wanted, name=name, limit=limit, before=before
        )
    if style == "json":
        show_document([workflow_view.document(view) for view in views])
    elif views:
        workflow_view.show_rows(views)
        if len(views) == limit:
            note(f"There may be more: say the same with --before {views[-1].id}")
    else:
        note("No such workflows. An application adds them: await app.workflow(…).enqueue()")


@command.command("show")
@_id
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "mermaid", "dot"]),
    default="text",
    show_default=True,
    help="For people, for programs, or a drawing for Mermaid or Graphviz.",
)
@click.pass_obj
def show(invocation: Invocation, workflow_id: UUID, style: str) -> None:
    """Show a workflow: its steps, what each waits for, and what failed."""
    with invocation.store() as store:
        graph = _graph(store, workflow_id)
    match style:
        case "json":
            show_document(workflow_view.full_document(graph))
        case "mermaid":
            click.echo(workflow_view.mermaid(graph))
        case "dot":
            click.echo(workflow_view.dot(graph))
        case _:
            workflow_view.show_page(graph)


@command.command("cancel")
@_id
@reason_option
@dry_run_option
@yes_option
@click.pass_obj
def cancel(
    invocation: Invocation, workflow_id: UUID, reason: str, dry_run: bool, yes: bool
) -> None:
    """Cancel a whole workflow.

    Steps that wait are cancelled at once, those that run are asked to stop.
    """
    from celers_worker.store.workflow import stopping

    with invocation.store() as store:
        view = _graph(store, workflow_id).workflow
        if view.state is not WorkflowState.RUNNING:
            raise Failed(f"workflow {workflow_id} has ended already: it is {view.state}.")
        left = workflow_view.left(view)
        if dry_run:
            say(f"would cancel workflow {workflow_id}, of which {count(left, 'step')} are left.")
            return
        confirm(f"Cancel workflow {workflow_id}, {count(left, 'step')} left?", yes=yes)
        store.run(stopping.cancel, workflow_id, reason)
        view = _graph(store, workflow_id).workflow
    if view.state is WorkflowState.RUNNING:
        say(f"workflow {workflow_id} is asked to stop: {count(workflow_view.left(view), 'step')}.")
    else:
        say(f"workflow {workflow_id} is {view.state}.")


@command.command("retry")
@_id
@click.pass_obj
def retry(invocation: Invocation, workflow_id: UUID) -> None:
    """Go on from the steps that did not complete.

    They start anew, with all their attempts; those that completed keep their results.
    """
    from celers_worker.store import control
    from celers_worker.store.workflow import reopening

    with invocation.store() as store:
        revived = store.run(reopening.retry, workflow_id, control.move_back)
        if revived is None:
            raise TaskNotFound(_unknown(workflow_id))
        if not revived:
            raise Failed(
                f"workflow {workflow_id} has no step that could be tried again: "
                "none has failed, or the retention of those that did is over."
            )
    say(f"workflow {workflow_id} goes on: {count(revived, 'step')} to be run again.")


@command.command("wait")
@_id
@click.option("--timeout", type=DURATION, metavar="DURATION", help="Wait no longer than this.")
@click.pass_obj
def wait(invocation: Invocation, workflow_id: UUID, timeout: timedelta | None) -> None:
    """Wait until a workflow has ended, and print its result.

    The result is JSON. It is a failure if the workflow did not complete.
    """
    from celers_worker.app import Celers

    limit = LONGEST if timeout is None else timeout
    began = time.monotonic()
    with invocation.store() as store:
        if on_terminal():
            _watch(store, workflow_id, limit)
    app = Celers()
    app.client.config = invocation.config()
    left = max(limit.total_seconds() - (time.monotonic() - began), 0)
    try:
        result = app.workflow_by_id(workflow_id).result_sync(left)
    except ResultTimeout:
        raise ResultTimeout(
            f"workflow {workflow_id} is still running after {format_duration(limit)}; it goes on."
        ) from None
    finally:
        app.close_sync()
    show_document(result)


def _watch(store: DirectStore, workflow_id: UUID, limit: timedelta) -> None:
    """Show how far a workflow is until it has ended, or *limit* is over."""
    from celers_worker.store.workflow import inspect

    end = time.monotonic() + limit.total_seconds()
    view = store.run(inspect.workflow, workflow_id)
    if view is None or view.state is not WorkflowState.RUNNING:
        return
    with bar("Steps", view.steps) as advance:
        shown = 0
        while view is not None and view.state is WorkflowState.RUNNING and time.monotonic() < end:
            ended = view.steps - workflow_view.left(view)
            advance(ended - shown)
            shown = ended
            time.sleep(_LOOK)
            view = store.run(inspect.workflow, workflow_id)


def _graph(store: DirectStore, workflow_id: UUID) -> Graph:
    from celers_worker.store.workflow import inspect

    graph = store.run(inspect.graph, workflow_id)
    if graph is None:
        raise TaskNotFound(_unknown(workflow_id))
    return graph


def _unknown(workflow_id: UUID) -> str:
    return (
        f"there is no workflow {workflow_id}, or its retention is over. See: celers workflow list"
    )
