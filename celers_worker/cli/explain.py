"""``celers explain``: why a task does not run, and what would change that."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli.choosing import TASK_ID, unknown
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    count,
    format_option,
    printable,
    show_document,
    show_table,
    span,
)
from celers_worker.core.errors import TaskNotFound

if TYPE_CHECKING:
    from celers_worker.core.explanation import Explanation

_BEFORE = (
    Column("ID"),
    Column("NAME", cut=True),
    Column("PRIORITY", right=True),
    Column("DUE"),
)


@click.command("explain")
@click.argument("task_id", metavar="ID", type=TASK_ID)
@format_option
@click.pass_obj
def command(invocation: Invocation, task_id: UUID, style: str) -> None:
    """Say why a task does not run, or where it does, or how it ended.

    Everything that stands in its way is told, each with the command to go on with, and what comes
    before it in its queue. Changes nothing.
    """
    with invocation.store() as store:
        from celers_worker.core.explanation import explain
        from celers_worker.store import explaining

        facts = store.run(explaining.facts_of, task_id)
    if facts is None:
        raise TaskNotFound(unknown(task_id))
    found = explain(facts)
    if style == "json":
        show_document(_document(found))
    else:
        _show(found)


def _document(found: Explanation) -> dict[str, Any]:
    task = found.task
    return {
        "id": task.id,
        "name": task.name,
        "queue": task.queue,
        "state": task.state.value,
        "stands": found.stands,
        "reasons": [asdict(reason) for reason in found.reasons],
        "before": {
            "count": found.before.count,
            "more": found.before.more,
            "first": [asdict(one) for one in found.before.first],
        },
    }


def _show(found: Explanation) -> None:
    task = found.task
    head = f"{task.name} {task.id} of queue {task.queue or '(foreign)'} is {task.state.value}."
    click.echo(click.style(printable(head), bold=True))
    for reason in found.reasons:
        click.echo(f"- {printable(reason.text)}")
        if reason.command is not None:
            click.echo(f"    next: {printable(reason.command)}")
    if found.before.count:
        more = "+" if found.before.more else ""
        click.echo(f"\n{count(found.before.count, 'due task')}{more} of its queue before it:")
        rows = [
            (str(one.id), one.name, str(one.priority), f"{span(max(one.due_ago, 0.0))} ago")
            for one in found.before.first
        ]
        show_table(_BEFORE, rows)
