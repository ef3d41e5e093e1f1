"""``celers top``: what goes on, live on a terminal."""

from __future__ import annotations

import os
from importlib.util import find_spec

import click

from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import on_terminal
from celers_worker.core.errors import ConfigurationError

_OTHERWISE = "Without one, see: celers queue list, celers stats, celers workers list"


@click.command("top")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="How often to look. On a large database it looks less often by itself.",
)
@click.pass_obj
def command(invocation: Invocation, interval: float) -> None:
    """Show queues, workers, what runs and what failed, live.

    Keys: p pauses or resumes the chosen queue, c cancels the chosen task, r requeues the newest
    dead task of the chosen kind; Tab goes to the next table, ? helps, q quits.
    """
    if find_spec("textual") is None:
        raise ConfigurationError(
            "celers top needs the package textual, which is not installed. "
            "Run: pip install 'celers-worker[top]'"
        )
    if not on_terminal():
        raise ConfigurationError(f"celers top needs a terminal. {_OTHERWISE}")
    if os.environ.get("TERM", "dumb") in ("dumb", ""):
        raise ConfigurationError(
            f"celers top needs a terminal whose cursor can move, and TERM is dumb. {_OTHERWISE}"
        )
    with invocation.store() as store:
        from celers_worker.cli.top_view import Top

        Top(store, interval).run()
