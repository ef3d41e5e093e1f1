"""``celers migrate``: create the tables, bring them up to date, undo, show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.failure import warn
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import Column, format_option, say, show_document, show_table
from celers_worker.cli.program import Family
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celers_worker.store.migrate import Revision

_COLUMNS = (Column("REVISION"), Column("STATE"), Column("WHAT", cut=True))


@click.group("migrate", cls=Family, invoke_without_command=True)
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL instead of running it.")
@click.pass_context
def command(context: click.Context, as_sql: bool) -> None:
    """Create the tables, or bring them up to date. Safe to run twice, and from two places."""
    if as_sql:
        if context.invoked_subcommand is not None:
            raise ConfigurationError("--sql goes with no command: celers migrate --sql")
        context.invoke(sql)
    elif context.invoked_subcommand is None:
        context.invoke(up)


@command.command("up")
@click.pass_obj
def up(invocation: Invocation) -> None:
    """Apply what is missing."""
    from celers_worker.store import migrate

    with invocation.closed_store() as store:
        notes: list[str] = []
        applied = migrate.upgrade(store, notes=notes)
        say(
            f"{store.name} is up to date: applied {', '.join(applied)}."
            if applied
            else f"{store.name} is up to date: nothing to apply."
        )
    for problem in notes:
        warn(problem)


@command.command("function")
@click.pass_obj
def function(invocation: Invocation) -> None:
    """Make celers_enqueue again.

    It lets other languages enqueue by SQL. Needed only if `celers migrate` had no right to make it.
    """
    from celers_worker.store import migrate

    with invocation.store() as store:
        migrate.make_function(store)
        say(f"{store.name} has celers_enqueue. See docs/enqueue.md.")


@command.command("status")
@format_option
@click.pass_obj
def status(invocation: Invocation, style: str) -> None:
    """Show every migration and whether it has been applied."""
    _show(_revisions(invocation), style)


@command.command("plan")
@format_option
@click.pass_obj
def plan(invocation: Invocation, style: str) -> None:
    """Show what `celers migrate` would apply."""
    missing = [one for one in _revisions(invocation) if not one.applied]
    if missing or style == "json":
        _show(missing, style)
    else:
        say("nothing to apply.")


@command.command("down")
@click.option("--force", is_flag=True, help="Even if live tasks are lost.")
@dry_run_option
@yes_option
@click.pass_obj
def down(invocation: Invocation, force: bool, dry_run: bool, yes: bool) -> None:
    """Undo the newest migration.

    That drops tables, and what is in them.
    """
    from celers_worker.store import migrate

    with invocation.closed_store() as store:
        if dry_run:
            newest = migrate.undoable(store, force=force)
            what = "nothing" if newest is None else f"{newest.id}: {newest.description.lower()}"
            say(f"would undo {what}.")
            return
        confirm(f"Undo the newest migration of {store.name}, and lose its tables?", yes=yes)
        undone = migrate.downgrade(store, force=force)
        say("nothing to undo." if undone is None else f"undid {undone} on {store.name}.")


@command.command("sql")
@click.option("--since", metavar="REVISION", help="Only what comes after this revision.")
@click.pass_obj
def sql(invocation: Invocation, since: str | None = None) -> None:
    """Print the SQL of the migrations.

    For a person to run; nothing is connected to.
    """
    from celers_worker.store import migrate
    from celers_worker.store.urls import parse_url

    _, backend = parse_url(invocation.config().database.url)
    click.echo(migrate.sql(backend.name, since=since))


def _revisions(invocation: Invocation) -> Sequence[Revision]:
    from celers_worker.store import migrate

    with invocation.closed_store() as store:
        return migrate.revisions(store)


def _show(revisions: Sequence[Revision], style: str) -> None:
    if style == "json":
        show_document(
            [
                {"revision": one.id, "description": one.description, "applied": one.applied}
                for one in revisions
            ]
        )
        return
    show_table(
        _COLUMNS,
        [(one.id, "applied" if one.applied else "missing", one.description) for one in revisions],
    )
