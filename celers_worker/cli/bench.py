"""``celers bench``: what this database does, and how to tune for it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.choosing import DURATION
from celers_worker.cli.ending import ended_in_order
from celers_worker.cli.failure import Failed, warn
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import Column, format_option, note, say, show_document, show_table
from celers_worker.core.duration import format_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.version import __version__

if TYPE_CHECKING:
    from celers_worker.benchmark.figures import Figure
    from celers_worker.config import Config
    from celers_worker.store import DirectStore

_COLUMNS = (
    Column("MEASURED"),
    Column("FIGURE", right=True),
    Column("UNIT"),
    Column("HINT", cut=True),
)
_SCENARIOS = ("round-trip", "enqueue", "drain", "latency", "knee")
_SHORTEST, _LONGEST = timedelta(milliseconds=100), timedelta(minutes=1)


@click.command("bench")
@click.option("--url", metavar="URL", help="The database; the same as `celers --database URL`.")
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice(_SCENARIOS),
    help="Measure only this; repeatable.",
)
@click.option(
    "--seconds",
    type=DURATION,
    default="5",
    show_default=True,
    metavar="DURATION",
    help="How long each figure is measured; about fifteen times that in all.",
)
@click.option(
    "--tasks",
    type=click.IntRange(100, 1_000_000),
    default=50_000,
    show_default=True,
    metavar="N",
    help="At most so many tasks wait at a time.",
)
@click.option("--force", is_flag=True, help="Even if workers that serve every queue are disturbed.")
@format_option
@click.pass_obj
def command(
    invocation: Invocation,
    url: str | None,
    scenarios: Sequence[str],
    seconds: timedelta,
    tasks: int,
    force: bool,
    style: str,
) -> None:
    """Measure the database: enqueue, drain, latency, and the knee of concurrency.

    It works in a queue of its own, which is erased afterwards, also after Ctrl-C; other tasks are
    left alone. But it is load: a database that others use will feel it.
    """
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ConfigurationError(
            f"--seconds is {format_duration(seconds)}: it must lie between 0.1 and 60."
        )
    invocation = invocation.at(url)
    config = invocation.config()

    from celers_worker.benchmark.run import Limits

    limits = Limits(seconds.total_seconds(), tasks)
    with invocation.store(config) as store:
        head = _head(store)
        _refuse_intruders(store, force=force)
        with ended_in_order():
            figures = _measure(store, config, limits, scenarios or _SCENARIOS)
    if style == "json":
        show_document({**head, **asdict(limits), "figures": [asdict(one) for one in figures]})
    else:
        _show(head, figures)


def _head(store: DirectStore) -> dict[str, Any]:
    from celers_worker.store import server

    found = store.run(lambda transaction: server.server_of(transaction.connection))
    return {
        "database": store.name,
        "server": str(found),
        "version": __version__,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
    }


def _refuse_intruders(store: DirectStore, *, force: bool) -> None:
    from celers_worker.benchmark.run import intruders

    views = intruders(store)
    if not views:
        return
    names = ", ".join(f"{view.name} (process {view.pid} on {view.host})" for view in views)
    found = (
        f"{names} {'serves' if len(views) == 1 else 'serve'} every queue: a worker without --queue "
        "claims the benchmark's tasks, has no handler for them and walks past them at every claim"
    )
    if not force:
        raise Failed(
            f"{found}. Stop it meanwhile or let it name its queues, or measure all the same, at "
            "its expense, with --force."
        )
    warn(f"{found}; the figures are too low.")


def _measure(
    store: DirectStore, config: Config, limits: Any, wanted: Sequence[str]
) -> list[Figure]:
    from celers_worker.benchmark.run import opened_run
    from celers_worker.benchmark.scenarios import SCENARIOS

    chosen = [name for name in SCENARIOS if name in wanted]
    figures: list[Figure] = []
    with opened_run(store, config, limits) as run:
        try:
            for number, name in enumerate(chosen, 1):
                note(f"measuring {name} ({number} of {len(chosen)})")
                figures += SCENARIOS[name](run)
        finally:
            note("erasing what is left of it")
    return figures


def _show(head: dict[str, Any], figures: Sequence[Figure]) -> None:
    say(
        f"{head['server']} at {head['database']}; celers-worker {head['version']}, Python "
        f"{head['python']}, {head['processors']} processors here"
    )
    click.echo()
    show_table(_COLUMNS, [(one.name, _shown(one.value), one.unit, one.hint) for one in figures])


def _shown(value: float) -> str:
    """*value* with as many digits as it deserves."""
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"
