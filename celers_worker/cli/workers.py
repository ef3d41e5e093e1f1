"""``celers workers``: who runs tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    age,
    format_option,
    note,
    show_document,
    show_table,
    span,
)
from celers_worker.cli.program import Family

if TYPE_CHECKING:
    from celers_worker.store.survey import WorkerView

_COLUMNS = (
    Column("ID"),
    Column("NAME"),
    Column("STATE"),
    Column("RUNNING", right=True),
    Column("HOST"),
    Column("PID", right=True),
    Column("STARTED"),
    Column("SEEN"),
    Column("QUEUES", cut=True),
)


@click.group("workers", cls=Family)
def command() -> None:
    """List the workers."""


@command.command("list")
@format_option
@click.pass_obj
def list_(invocation: Invocation, style: str) -> None:
    """List the workers.

    Those that live, and those lost within the last hour.
    """
    with invocation.store() as store:
        from celers_worker.store import survey

        views = store.run(survey.list_workers)
    if style == "json":
        show_document([_document(view) for view in views])
    elif views:
        show_table(_COLUMNS, [_row(view) for view in views])
    else:
        note("No workers. Start one: celers worker")


def _row(view: WorkerView) -> tuple[str, ...]:
    return (
        view.id,
        view.name,
        view.state,
        f"{view.running}/{view.concurrency}",
        view.host,
        str(view.pid),
        age(view.started_at),
        f"{span(max(view.age, 0.0))} ago",
        ", ".join(view.queues) or "all",
    )


def _document(view: WorkerView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "host": view.host,
        "pid": view.pid,
        "version": view.version,
        "state": view.state,
        "queues": list(view.queues),
        "handlers": list(view.handlers),
        "concurrency": view.concurrency,
        "running": view.running,
        "started_at": view.started_at,
        "heartbeat_at": view.heartbeat_at,
        "heartbeat_age_seconds": view.age,
    }
