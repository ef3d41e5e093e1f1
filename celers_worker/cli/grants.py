"""``celers grants``: the SQL that gives a user of the server just what its role needs."""

from __future__ import annotations

import click

from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import say

_WHO = {
    "producer": "adds tasks; cannot read what they are about, nor settle them",
    "worker": "runs tasks, and keeps what has ended in order",
    "viewer": "lists and counts; sees no arguments and no results, changes nothing",
    "operator": "all that the command line offers, but migrate, vacuum and queue history",
}


@click.command("grants")
@click.option("--role", type=click.Choice(list(_WHO)), required=True, help="What it is to do.")
@click.option(
    "--user", metavar="NAME", help="The user of the server; else celers_ROLE. MySQL: NAME@HOST."
)
@click.pass_obj
def command(invocation: Invocation, role: str, user: str | None) -> None:
    """Print the GRANTs for a user with a role; run them as the owner of the tables.

    Nothing is changed. See docs/security.md for what each role can do.
    """
    from celers_worker.store.grants import Role, grants

    with invocation.store() as store:
        statements = store.run(lambda transaction: grants(transaction.connection, Role(role), user))
        say(f"-- {user or f'celers_{role}'}: {_WHO[role]}. In {store.name}.")
    for statement in statements:
        say(f"{statement};")
