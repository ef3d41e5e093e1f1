"""``celers task history`` and ``celers queue history``: the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli.choosing import QUEUE, TASK_ID, unknown
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import Column, format_option, note, say, show_document, show_table
from celers_worker.core.errors import TaskNotFound

if TYPE_CHECKING:
    from celers_worker.store.history import Transition

_COLUMNS = (
    Column("WHEN"),
    Column("FROM"),
    Column("TO"),
    Column("LEASE", right=True),
    Column("WORKER"),
    Column("REASON", cut=True),
)


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
@format_option
@click.pass_obj
def of_queue(invocation: Invocation, queue: str | None, switch: str | None, style: str) -> None:
    """Let the tasks of a queue leave an audit trail, or end it.

    Without on or off: show which queues have one. It costs nothing where no queue has one; where
    one has, every change of a task of any queue costs the database a look.
    """
    from celers_worker.store import history

    with invocation.store() as store:
        if queue is not None and switch == "on":
            begun = store.run(history.switch_on, queue)
            say(f"{queue} {'has' if begun else 'had'} an audit trail{' from now on' * begun}.")
            return
        if queue is not None and switch == "off":
            ended = store.run(history.switch_off, queue)
            kept = " What is on it is kept for retention.history." if ended else ""
            say(
                f"{queue} {'has no audit trail any more' if ended else 'had no audit trail'}.{kept}"
            )
            return
        audited = store.run(history.audited_queues)
    wanted = {name: since for name, since in audited.items() if queue in (None, name)}
    if style == "json":
        show_document([{"queue": name, "since": since} for name, since in wanted.items()])
    elif wanted:
        rows = [(name, since.isoformat(timespec="seconds")) for name, since in wanted.items()]
        show_table((Column("QUEUE"), Column("SINCE")), rows)
    else:
        whose = "No queue has" if queue is None else f"{queue} has not"
        note(f"{whose} an audit trail. Begin one: celers queue history QUEUE on")


def show_rows(transitions: Sequence[Transition]) -> None:
    """Print a line for each change."""
    show_table(
        _COLUMNS,
        [
            (
                one.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                one.was or "",
                one.state,
                str(one.lease),
                one.worker or "",
                (one.reason or "").strip().split("\n")[0],
            )
            for one in transitions
        ],
    )


def document(transition: Transition) -> dict[str, Any]:
    """One change for programs; the keys are part of the interface."""
    return {
        "at": transition.at,
        "from": transition.was,
        "to": transition.state,
        "queue": transition.queue,
        "lease": transition.lease,
        "worker": transition.worker,
        "reason": transition.reason,
    }
