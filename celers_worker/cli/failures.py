"""``celers failures``: the failed attempts, grouped by what went wrong."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from celers_worker.cli.choosing import DURATION, QUEUE, TASK_NAME
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    age,
    count,
    format_option,
    note,
    show_document,
    show_table,
    span,
)

if TYPE_CHECKING:
    from celers_worker.core.failures import FailureGroup
    from celers_worker.store.failures import FailureReport

_COLUMNS = (
    Column("FINGERPRINT"),
    Column("FAILED", right=True),
    Column("TASKS", right=True),
    Column("DEAD", right=True),
    Column("FIRST"),
    Column("LAST"),
    Column("HANDLER"),
    Column("NEWEST TASK"),
    Column("ERROR", cut=True),
)


@click.command("failures")
@click.option(
    "--since",
    type=DURATION,
    metavar="DURATION",
    default="24h",
    show_default=True,
    help="Only attempts that failed within this time.",
)
@click.option("-q", "--queue", type=QUEUE, help="Only of this queue.")
@click.option("--name", type=TASK_NAME, help="Only of this handler.")
@click.option("--fingerprint", metavar="TEXT", help="Only this group.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    metavar="N",
    default=20,
    show_default=True,
    help="Show at most so many groups.",
)
@format_option
@click.pass_obj
def command(
    invocation: Invocation,
    since: timedelta,
    queue: str | None,
    name: str | None,
    fingerprint: str | None,
    limit: int,
    style: str,
) -> None:
    """Group the failed attempts by handler, kind of error and message.

    Ids, numbers, addresses and quoted texts in a message make no difference. The newest 20,000
    attempts are looked at. FAILED counts attempts, TASKS their tasks, DEAD those that have died.
    """
    with invocation.store() as store:
        from celers_worker.store import failures

        found = store.run(failures.report, since, queue=queue, name=name, fingerprint=fingerprint)
    if style == "json":
        show_document(
            {
                "window_seconds": found.window.total_seconds(),
                "looked_at": found.looked_at,
                "cut": found.cut,
                "groups": [asdict(group) for group in found.groups[:limit]],
            }
        )
    else:
        _show(found, limit)


def _show(found: FailureReport, limit: int) -> None:
    if not found.groups:
        note(f"No attempt has failed in the last {span(found.window.total_seconds())}.")
        return
    show_table(_COLUMNS, [_row(group) for group in found.groups[:limit]])
    if len(found.groups) > limit:
        note(f"There are {count(len(found.groups) - limit, 'more group')}: --limit {limit * 2}")
    if found.cut:
        note(f"Only the newest {found.looked_at:,} attempts were looked at: shorten --since.")
    note("One of them: celers task show ID. Dead ones again: celers dlq requeue --name HANDLER")


def _row(group: FailureGroup) -> tuple[str, ...]:
    return (
        group.fingerprint,
        f"{group.attempts:,}",
        f"{group.tasks:,}",
        f"{group.dead:,}",
        age(group.first_seen),
        age(group.last_seen),
        group.name,
        str(group.samples[0]),
        f"{group.error_type}: {group.message}",
    )
