"""``celers task history`` and ``celers queue history``: the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli.choosing import QUEUE, TASK_ID, limit_option, unknown
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    age,
    format_option,
    note,
    say,
    show_document,
    show_table,
)
from celers_worker.core.errors import TaskNotFound

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.history import Transition

_OF_A_RUN = (Column("LEASE", right=True), Column("WORKER"), Column("REASON", cut=True))
_COLUMNS = (Column("WHEN"), Column("FROM"), Column("TO"), *_OF_A_RUN)
_CHANGES = (Column("WHEN"), Column("TASK"), Column("TO"), *_OF_A_RUN)
_QUEUES = (Column("QUEUE"), Column("SINCE"))


@click.command("history")
@click.argument("task_id", metavar="ID", type=TASK_ID)
@format_option
@click.pass_obj
def of_task(invocation: Invocation, task_id: UUID, style: str) -> None:
    """Show every change of a task that is on the audit trail.

    The queue has to have one: celers queue history QUEUE on
    """
    from celers_worker.store import history, inspect

    with invocation.store() as store:
        found = store.run(history.transitions_of, task_id)
        view = None if found else store.run(inspect.task, task_id)
        audited = {} if found else store.run(history.audited_queues)
    if not found and view is None:
        raise TaskNotFound(unknown(task_id))
    if style == "json":
        show_document([document(transition) for transition in found])
    elif found:
        show_rows(found)
    elif view is not None and view.queue in audited:
        note(f"Nothing has happened to {task_id} since the trail of {view.queue} began.")
    elif view is not None:
        note(f"{view.queue} has no audit trail. Begin one: celers queue history {view.queue} on")


@click.command("history")
@click.argument("queue", metavar="[QUEUE]", type=QUEUE, required=False)
@click.argument("switch", metavar="[on|off]", type=click.Choice(["on", "off"]), required=False)
@limit_option(50)
@format_option
@click.pass_obj
def of_queue(
    invocation: Invocation, queue: str | None, switch: str | None, limit: int, style: str
) -> None:
    """Show what happened to the tasks of a queue, the newest first.

    With on or off its tasks leave an audit trail from now on, or no more; without a queue: which
    queues have one. It costs nothing where no queue has one; where one has, every change of a task
    of any queue costs the database a look.
    """
    from celers_worker.store import history

    with invocation.store() as store:
        if queue is not None and switch is not None:
            _switch(store, queue, on=switch == "on")
            return
        audited = store.run(history.audited_queues)
        found = [] if queue is None else store.run(history.newest_of, queue, limit=limit)
    if queue is None:
        _show_queues(audited, style)
    elif style == "json":
        show_document([document(one) for one in found])
    elif found:
        show_changes(found)
    elif queue in audited:
        note(f"Nothing has happened to a task of {queue} since its trail began.")
    else:
        note(f"{queue} has no audit trail. Begin one: celers queue history {queue} on")


def _switch(store: DirectStore, queue: str, *, on: bool) -> None:
    from celers_worker.store import history

    if on:
        begun = store.run(history.switch_on, queue)
        say(f"{queue} {'has' if begun else 'had'} an audit trail{' from now on' * begun}.")
        return
    ended = store.run(history.switch_off, queue)
    kept = " What is on it is kept for retention.history." if ended else ""
    say(f"{queue} {'has no audit trail any more' if ended else 'had no audit trail'}.{kept}")


def _show_queues(audited: Mapping[str, datetime], style: str) -> None:
    if style == "json":
        show_document([{"queue": name, "since": since} for name, since in audited.items()])
    elif audited:
        show_table(_QUEUES, [(name, age(since)) for name, since in audited.items()])
    else:
        note("No queue has an audit trail. Begin one: celers queue history QUEUE on")


def show_rows(transitions: Sequence[Transition]) -> None:
    """Print a line for each change of a task."""
    rows = [(_when(one), one.was or "", one.state, *_run(one)) for one in transitions]
    show_table(_COLUMNS, rows)


def show_changes(transitions: Sequence[Transition]) -> None:
    """Print a line for each change of several tasks."""
    rows = [(_when(one), str(one.task_id), one.state, *_run(one)) for one in transitions]
    show_table(_CHANGES, rows)


def _when(one: Transition) -> str:
    return one.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _run(one: Transition) -> tuple[str, str, str]:
    return str(one.lease), one.worker or "", (one.reason or "").strip().split("\n")[0]


def document(transition: Transition) -> dict[str, Any]:
    """One change for programs; the keys are part of the interface."""
    return {
        "task_id": transition.task_id,
        "at": transition.at,
        "from": transition.was,
        "to": transition.state,
        "queue": transition.queue,
        "lease": transition.lease,
        "worker": transition.worker,
        "reason": transition.reason,
    }
