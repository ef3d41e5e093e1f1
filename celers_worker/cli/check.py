"""``celers check``: the configuration, the application and the database; every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.failure import warn
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    count,
    format_option,
    printable,
    say,
    show_document,
    show_table,
)
from celers_worker.core.duration import format_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.version import __version__

if TYPE_CHECKING:
    from celers_worker.cli.examination import Examination

_SETTINGS = (Column("SETTING"), Column("VALUE"), Column("FROM"), Column("WHAT", cut=True))
_HANDLERS = (
    Column("HANDLER"),
    Column("QUEUE"),
    Column("RUNS"),
    Column("PRIORITY", right=True),
    Column("RETRIES", right=True),
    Column("TIMEOUT", right=True),
    Column("AT ONCE", right=True),
    Column("WHERE", cut=True),
)


_SCHEDULES = (
    Column("SCHEDULE"),
    Column("WHEN"),
    Column("TASK"),
    Column("QUEUE"),
    Column("MISFIRE"),
    Column("OVERLAP"),
    Column("FROM"),
)


@click.command("check")
@click.option("-A", "--app", metavar="MODULE[:NAME]", help="The application.")
@format_option
@click.pass_obj
def command(invocation: Invocation, app: str | None, style: str) -> None:
    """Show every setting with its source, and every problem there is. Changes nothing."""
    try:
        loaded = invocation.load_config({"worker.app": app})
    except ConfigurationError as error:
        if style == "json":
            show_document({"ok": False, "errors": error.problems, "warnings": []})
        raise

    from celers_worker.cli.examination import examine

    found = examine(loaded, invocation.closed_store)
    if style == "json":
        show_document(_document(found))
    else:
        _show(found)
    for warning in found.warnings:
        warn(warning)
    if found.errors:
        raise ConfigurationError(*found.errors)
    if style == "table" and not found.warnings:
        say("no problems.")


def _show(found: Examination) -> None:
    _head("configuration", count(len(found.loaded.sources), "setting"))
    show_table(
        _SETTINGS,
        [(row.key, row.value, row.source, row.description) for row in found.loaded.rows()],
    )
    click.echo()
    _head("application", count(len(found.handlers), "handler"))
    if found.handlers:
        show_table(_HANDLERS, _handler_rows(found))
    if found.schedules:
        click.echo()
        _head("schedules", count(len(found.schedules), "schedule"))
        show_table(_SCHEDULES, _schedule_rows(found))
    click.echo()
    _head("database", _database(found))
    click.echo()


def _head(title: str, text: str) -> None:
    click.echo(f"{click.style(title, bold=True)}  {printable(text)}")


def _database(found: Examination) -> str:
    if found.server is None:
        later = " cannot be used" if found.errors else " is made when it is first used"
        return f"{found.database}{later}"
    tables = "no tables yet" if found.revision is None else f"tables at revision {found.revision}"
    return f"{found.server} at {found.database}, {tables}"


def _handler_rows(found: Examination) -> list[tuple[str, ...]]:
    return [
        (
            handler.name,
            handler.queue,
            handler.runs,
            str(handler.priority),
            str(handler.max_retries),
            "" if handler.timeout is None else format_duration(handler.timeout),
            "" if handler.concurrency is None else str(handler.concurrency),
            handler.place,
        )
        for handler in found.handlers
    ]


def _schedule_rows(found: Examination) -> list[tuple[str, ...]]:
    from celers_worker.core.timing import shown

    return [
        (
            schedule.name,
            shown(schedule.timing),
            schedule.task,
            schedule.options.queue or "default",
            schedule.policies.misfire.value,
            schedule.policies.overlap.value,
            schedule.source.value,
        )
        for schedule in found.schedules
    ]


def _document(found: Examination) -> dict[str, Any]:
    from celers_worker.core.timing import shown

    return {
        "ok": not found.errors,
        "version": __version__,
        "settings": [
            {"key": row.key, "value": row.value, "source": row.source}
            for row in found.loaded.rows()
        ],
        "handlers": [
            {
                "name": handler.name,
                "queue": handler.queue,
                "runs": handler.runs,
                "priority": handler.priority,
                "max_retries": handler.max_retries,
                "timeout": None if handler.timeout is None else handler.timeout.total_seconds(),
                "concurrency": handler.concurrency,
                "place": handler.place,
            }
            for handler in found.handlers
        ],
        "schedules": [
            {
                "name": schedule.name,
                "task": schedule.task,
                "when": shown(schedule.timing),
                "source": schedule.source.value,
            }
            for schedule in found.schedules
        ],
        "database": {
            "url": found.database,
            "server": None if found.server is None else str(found.server),
            "revision": found.revision,
        },
        "unhandled": dict(found.unhandled),
        "errors": found.errors,
        "warnings": found.warnings,
    }
