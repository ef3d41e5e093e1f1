"""``celers health``: whether everything is well, for probes. 0 well, 1 ill, 2 cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

import click

from celers_worker.cli.choosing import DURATION, QUEUE
from celers_worker.cli.failure import FAILED, WRONG_USAGE
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    format_option,
    note,
    say,
    show_document,
    show_table,
    span,
)
from celers_worker.core.errors import StoreError
from celers_worker.core.health import Check, Limits, Vitals, checks

if TYPE_CHECKING:
    from celers_worker.config import Config

_COLUMNS = (Column("CHECK"), Column("STATE"), Column("FOUND"), Column("LIMIT"))


@click.command("health")
@click.option("-q", "--queue", type=QUEUE, help="Only this queue and the workers that serve it.")
@click.option(
    "--min-workers",
    type=click.IntRange(0),
    metavar="N",
    default=1,
    show_default=True,
    help="Live workers.",
)
@click.option(
    "--max-backlog-age",
    type=DURATION,
    metavar="DURATION",
    default="5m",
    show_default=True,
    help="How long the task that has been due longest may have been waiting.",
)
@click.option("--max-dead", type=click.IntRange(0), metavar="N", help="Tasks that may be dead.")
@click.option(
    "--timeout",
    type=DURATION,
    metavar="DURATION",
    default="5s",
    show_default=True,
    help="How long the database may take to answer.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Ask the worker on this host, at [metrics] port, whether its loops move; no database.",
)
@format_option
@click.pass_obj
def command(
    invocation: Invocation,
    queue: str | None,
    min_workers: int,
    max_backlog_age: timedelta,
    max_dead: int | None,
    timeout: timedelta,
    live: bool,
    style: str,
) -> None:
    """Say whether everything is well.

    Exit code 0: it is. 1: a limit is passed. 2: the database cannot be used. Quick, whatever the
    number of tasks, and it changes nothing.
    """
    if live:
        _tell_live(invocation.config(), timeout, style)
        return
    limits = Limits(min_workers=min_workers, max_backlog_age=max_backlog_age, max_dead=max_dead)
    config = _hasty(invocation.config(), timeout)
    began = monotonic()
    try:
        product, found = _look(invocation, config, queue, max_dead)
    except StoreError as error:
        _tell([Check("database", False, str(error), "answers")], style, monotonic() - began, None)
        raise click.exceptions.Exit(WRONG_USAGE) from None
    seconds = monotonic() - began
    all_checks = [Check("database", True, f"{product} in {span(seconds)}", "answers")]
    all_checks += checks(found, limits)
    _tell(all_checks, style, seconds, found)
    if not all(check.ok for check in all_checks):
        raise click.exceptions.Exit(FAILED)


def _tell_live(config: Config, timeout: timedelta, style: str) -> None:
    """Ask the worker of this host: 1 if it does not answer, or a loop of it stands still."""
    from celers_worker.core.errors import ConfigurationError

    if not config.metrics.port:
        raise ConfigurationError(
            "--live asks a worker at [metrics] port, which is not set. Set it, or "
            "CELERS_METRICS_PORT, for both."
        )
    began = monotonic()
    found = _ask(config.metrics.host, config.metrics.port, timeout.total_seconds())
    check = Check("worker", found == "ok", found, "every loop moves")
    _tell([check], style, monotonic() - began, None)
    if not check.ok:
        raise click.exceptions.Exit(FAILED)


def _ask(host: str, port: int, seconds: float) -> str:
    from http.client import HTTPConnection, HTTPException

    # What listens on every address is asked at the nearest.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    connection = HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", "/live")
        return connection.getresponse().read(64 * 1024).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return f"{host}:{port} does not answer: {error or type(error).__name__}"
    finally:
        connection.close()


def _look(
    invocation: Invocation, config: Config, queue: str | None, max_dead: int | None
) -> tuple[str, Vitals]:
    """Ask the database. Unlike other commands it makes no file and no tables."""
    from celers_worker.core.errors import Refused, SchemaError
    from celers_worker.store import health, server

    with invocation.closed_store(config) as store:
        if store.file is not None and not store.file.exists():
            raise Refused(f"there is no file {store.file}. It is made when it is first used.")
        try:
            store.run(lambda transaction: server.check_schema(transaction.connection))
        except SchemaError as error:
            raise Refused(str(error)) from None
        product = store.run(lambda transaction: server.server_of(transaction.connection))
        return str(product), store.run(health.vitals, queue=queue, max_dead=max_dead)


def _hasty(config: Config, timeout: timedelta) -> Config:
    from msgspec.structs import replace

    return replace(
        config,
        database=replace(config.database, connect_timeout=timeout, call_timeout=timeout),
    )


def _tell(all_checks: Sequence[Check], style: str, seconds: float, found: Vitals | None) -> None:
    well = all(check.ok for check in all_checks)
    if style == "json":
        show_document(
            {
                "ok": well,
                "seconds": seconds,
                "checks": [
                    {
                        "name": check.name,
                        "ok": check.ok,
                        "found": check.found,
                        "limit": check.limit,
                    }
                    for check in all_checks
                ],
                "workers": None if found is None else found.workers,
                "backlog_age_seconds": None if found is None else found.backlog_age,
                "upkeep_age_seconds": None if found is None else found.upkeep_age,
            }
        )
        return
    rows = [
        (check.name, "ok" if check.ok else "ILL", check.found, check.limit) for check in all_checks
    ]
    show_table(_COLUMNS, rows)
    if well:
        say("all is well.")
    else:
        note("Something is not well.")
