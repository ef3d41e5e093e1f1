"""``celers handlers``: what the application can run, and what is held."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli import handlers_held
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import Column, format_option, note, show_document, show_table
from celers_worker.cli.program import Family

if TYPE_CHECKING:
    from celers_worker.core.handler import Handler

_COLUMNS = (
    Column("NAME"),
    Column("QUEUE"),
    Column("PRIORITY", right=True),
    Column("RUNS"),
    Column("LIMIT", right=True),
    Column("RETRIES", right=True),
    Column("TIMEOUT", right=True),
    Column("CIRCUIT"),
    Column("ARGUMENTS", cut=True),
    Column("PLACE", cut=True),
)


@click.group("handlers", cls=Family)
def command() -> None:
    """List the handlers of the application, and those that are held."""


@command.command("list")
@click.option(
    "-A",
    "--app",
    "target",
    metavar="MODULE[:NAME]",
    help="Where the application is; else $CELERS_APP, worker.app, or tasks.py here.",
)
@format_option
@click.pass_obj
def list_(invocation: Invocation, target: str | None, style: str) -> None:
    """List the handlers of the application.

    With what the configuration makes of them; the database is not asked.
    """
    from celers_worker.cli.application import load_application

    app, _ = load_application(invocation.load_config({"worker.app": target}))
    handlers = sorted(app.registry.mapped(app.client.configured), key=lambda one: one.name)
    if style == "json":
        show_document([_document(handler) for handler in handlers])
    elif handlers:
        show_table(_COLUMNS, [_row(handler) for handler in handlers])
    else:
        note("The application has no handlers: write a function below @app.task().")


@command.command("held")
@format_option
@click.pass_obj
def held(invocation: Invocation, style: str) -> None:
    """List the handlers whose tasks are held.

    Somebody has paused them, or their circuits are open.
    """
    with invocation.store() as store:
        found = handlers_held.held(store)
    if style == "json":
        show_document([asdict(one) for one in found])
    elif found:
        show_table(handlers_held.COLUMNS, [handlers_held.row(one) for one in found])
    else:
        note("No handler is held. To hold one: celers queue pause --handler NAME")


def _row(handler: Handler) -> tuple[str, ...]:
    from celers_worker.core.duration import format_duration

    return (
        handler.name,
        handler.queue,
        str(handler.priority),
        handler.runs,
        "" if handler.concurrency is None else str(handler.concurrency),
        str(handler.max_retries),
        "" if handler.timeout is None else format_duration(handler.timeout),
        "" if handler.circuit is None else str(handler.circuit),
        str(handler.signature),
        handler.place,
    )


def _document(handler: Handler) -> dict[str, Any]:
    return {
        "name": handler.name,
        "queue": handler.queue,
        "priority": handler.priority,
        "runs": handler.runs,
        "concurrency": handler.concurrency,
        "max_retries": handler.max_retries,
        "timeout_seconds": handler.timeout and handler.timeout.total_seconds(),
        "circuit": None
        if handler.circuit is None
        else {
            "failures": handler.circuit.failures,
            "rate": handler.circuit.rate,
            "window_seconds": handler.circuit.window.total_seconds(),
            "rest_seconds": handler.circuit.rest.total_seconds(),
        },
        "arguments": list(handler.signature.parameters),
        "place": handler.place,
    }
