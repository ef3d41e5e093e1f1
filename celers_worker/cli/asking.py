"""Confirmation before what cannot be undone."""

from __future__ import annotations

import click

from celers_worker.cli.failure import Failed
from celers_worker.cli.output import on_terminal, printable
from celers_worker.core.errors import ConfigurationError

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")
reason_option = click.option(
    "--reason",
    metavar="TEXT",
    default="cancelled by an operator",
    show_default=True,
    help="Why, for whoever wonders; it is kept with what is cancelled.",
)


def confirm(question: str, *, yes: bool, required: bool = True) -> None:
    """Ask on a terminal. Where nobody can be asked, --yes is *required*, or else not missed."""
    if yes:
        return
    if on_terminal():
        if not click.confirm(printable(question), err=True):
            raise Failed("nothing was changed.")
    elif required:
        raise ConfigurationError(f"{question} Nobody can be asked here: confirm with --yes.")
