"""``celers worker``: run tasks until told to stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from celers_worker.cli import failure
from celers_worker.cli.invocation import Invocation
from celers_worker.core.errors import ConfigurationError
from celers_worker.signalling import STOP_SIGNALS

if TYPE_CHECKING:
    from celers_worker.config import Config, LoadedConfig
    from celers_worker.core.events import Events
    from celers_worker.link import Link
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
@click.option(
    "-p",
    "--processes",
    metavar="N",
    help="So many processes, each a worker with all the limits to itself; one that dies is "
    "replaced.",
)
@click.option("-c", "--concurrency", metavar="N", help="Tasks that one process runs at once.")
@click.option("--prefetch", metavar="N", help="Tasks that one process claims ahead of these.")
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
    processes: str | None,
    concurrency: str | None,
    prefetch: str | None,
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
        "worker.processes": processes,
        "worker.concurrency": concurrency,
        "worker.prefetch": prefetch,
        "worker.name": name,
        "metrics.port": metrics_port,
        "log.level": log_level,
        "log.format": log_format,
    }
    until: Until = "drain" if drain else "once" if once else "forever"
    with _leaving_at_once():
        loaded = invocation.load_config(flags)

        from celers_worker.link import Link

        link = Link.inherited()
        if link is None:
            _warn_of_password(invocation.database)
        reread = partial(invocation.load_config, flags)
        if link is None and loaded.config.worker.processes > 1:
            code = _supervise(loaded.config, until, fail_fast, reread)
        else:
            code = _work(loaded, until, fail_fast, link, reread)
    raise click.exceptions.Exit(code)


def _warn_of_password(flag: str | None) -> None:
    """A worker runs for weeks, and all that time everybody here can read its arguments."""
    from celers_worker.config.url import has_password

    if flag is not None and has_password(flag):
        failure.warn(
            "--database holds a password, which everybody on this host can read in the list of "
            "processes: give the URL in CELERS_DATABASE_URL or CELERS_DATABASE_URL_FILE."
        )


def _work(
    loaded: LoadedConfig,
    until: Until,
    fail_fast: bool,
    link: Link | None,
    reread: Callable[[], LoadedConfig],
) -> int:
    from celers_worker.cli.application import load_application, with_own_database
    from celers_worker.observe.log_output import adopt_foreign_logs
    from celers_worker.observe.notify import Notifier
    from celers_worker.process import run_worker
    from celers_worker.worker import Worker

    if link is not None and not link.await_turn():
        return 0
    notifier = Notifier.inherited()  # before the application starts anything
    app, loaded = load_application(loaded)

    def as_ours(found: LoadedConfig) -> Config:
        config = with_own_database(app, found).config
        return config.of_process(link.place) if link else config

    config = as_ours(loaded)
    events = _logged(config, process=config.worker.name if link else None)
    adopt_foreign_logs(config.log.level)
    worker = Worker(
        app,
        config,
        until=until,
        events=events,
        fail_fast=fail_fast,
        link=link,
        notifier=notifier,
        reread=lambda: as_ours(reread()),
    )
    ending = run_worker(worker)
    if ending.abandoned:
        # Their threads still run, and Python would wait for them before it exits.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _supervise(
    config: Config, until: Until, fail_fast: bool, reread: Callable[[], LoadedConfig]
) -> int:
    if config.database.url.startswith("memory:"):
        raise ConfigurationError(
            f"worker.processes is {config.worker.processes}, but a database in memory is one "
            "process's own: use 1, or a file such as sqlite:///celers.db."
        )
    from celers_worker.core.restart import Restarts
    from celers_worker.observe.notify import Notifier
    from celers_worker.supervisor import Supervisor

    refusals = {failure.WRONG_USAGE, failure.FAILED} if fail_fast else {failure.WRONG_USAGE}
    supervisor = Supervisor(
        config,
        # As we were started, whether by `celers`, `python -m celers_worker` or something else.
        [sys.executable, *sys.orig_argv[1:]],
        restarts=Restarts(ends_by_itself=until != "forever", hopeless=frozenset(refusals)),
        events=_logged(config),
        reread=lambda: reread().config,
        notifier=Notifier.inherited(),
    )
    return supervisor.run()


def _logged(config: Config, *, process: str | None = None) -> Events:
    """Events, with a log that tells of them."""
    from celers_worker.core.events import Events
    from celers_worker.observe.log_output import configure_logs
    from celers_worker.observe.logs import listen
    from celers_worker.observe.redaction import hide_secrets_of

    events = Events()
    hide_secrets_of(config.database.url)
    configure_logs(config.log.level, config.log.format, process=process, worker=config.worker.name)
    listen(events, level=config.log.level)
    return events


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """A block in which a signal ends the process: until a worker runs, nothing is claimed.

    An exception would not do, for the application may be at its imports and catch it.
    """
    before = {number: signal.signal(number, _leave) for number in STOP_SIGNALS}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # a supervisor has blocked them
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(0)
