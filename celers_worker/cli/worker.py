"""``celers worker``: run tasks until told to stop."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from celers_worker.cli.invocation import Invocation
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.worker import Until


@click.command("worker")
@click.option(
    "-A",
    "--app",
    metavar="MODULE[:NAME]",
    help="The application; else [worker] app, else tasks.py here.",
)
@click.option(
    "-m",
    "--module",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Import this too, because it declares tasks; repeatable.",
)
@click.option(
    "-q",
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME[:LIMIT]",
    help="Serve this queue, so many of its tasks at once; repeatable. Else every queue.",
)
@click.option("-c", "--concurrency", metavar="N", help="Tasks that run at once.")
@click.option("-n", "--name", metavar="TEXT", help="A label for lists and logs.")
@click.option("--drain", is_flag=True, help="Stop when no task is due.")
@click.option("--once", is_flag=True, help="Stop after one claim.")
@click.option("--fail-fast", is_flag=True, help="Fail if the database is away at the start.")
@click.option("--metrics-port", metavar="PORT", help="Serve metrics there; 0 takes a free port.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
@click.option("--log-format", metavar="FORMAT", help="auto, console or json.")
@click.pass_obj
def command(
    invocation: Invocation,
    app: str | None,
    modules: tuple[str, ...],
    queues: tuple[str, ...],
    concurrency: str | None,
    name: str | None,
    drain: bool,
    once: bool,
    fail_fast: bool,
    metrics_port: str | None,
    log_level: str | None,
    log_format: str | None,
) -> None:
    """Run tasks until SIGTERM or Ctrl-C; a second one gives back what runs without waiting."""
    if drain and once:
        raise ConfigurationError("--drain and --once end a worker at different times: choose one.")
    flags: dict[str, object] = {
        "worker.app": app,
        "worker.modules": modules,
        "worker.queues": queues,
        "worker.concurrency": concurrency,
        "worker.name": name,
        "metrics.port": metrics_port,
        "log.level": log_level,
        "log.format": log_format,
    }
    _run(invocation, flags, "drain" if drain else "once" if once else "forever", fail_fast)


def _run(invocation: Invocation, flags: dict[str, object], until: Until, fail_fast: bool) -> None:
    loaded = invocation.load_config(flags)

    from celers_worker.cli.application import load_application
    from celers_worker.core.events import Events
    from celers_worker.observe.log_output import adopt_foreign_logs, configure_logs
    from celers_worker.observe.logs import listen
    from celers_worker.worker import Worker, run_worker

    app, loaded = load_application(loaded)
    config = loaded.config
    events = Events()
    configure_logs(config.log.level, config.log.format)
    adopt_foreign_logs(config.log.level)
    listen(events, level=config.log.level)
    worker = Worker(app, config, until=until, events=events, fail_fast=fail_fast)
    ending = run_worker(worker)
    if ending.abandoned:
        # Their threads still run, and Python would wait for them before it exits.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
