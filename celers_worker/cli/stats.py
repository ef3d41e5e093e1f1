"""``celers stats``: how the tasks that ended went, over a window."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.choosing import DURATION, QUEUE, TASK_NAME
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import (
    Column,
    count,
    format_option,
    note,
    say,
    show_document,
    show_table,
    span,
)
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.core.figures import Figures, Spread
    from celers_worker.store.figures import Report

_RATES = (
    Column("ENDED", right=True),
    Column("PER SECOND", right=True),
    Column("DEAD", right=True),
    Column("RETRIED", right=True),
)
_SPANS = tuple(
    Column(f"{title} {percent}", right=True)
    for title in ("WAIT", "RUN", "TOTAL")
    for percent in ("p50", "p95", "p99")
)


@click.command("stats")
@click.option(
    "--window",
    type=DURATION,
    metavar="DURATION",
    default="1h",
    show_default=True,
    help="Of the tasks that ended so recently.",
)
@click.option("--by", type=click.Choice(["name", "queue"]), help="A line for each.")
@click.option("-q", "--queue", type=QUEUE, help="Only of this queue.")
@click.option("--name", type=TASK_NAME, help="Only of this name.")
@format_option
@click.pass_obj
def command(
    invocation: Invocation,
    window: timedelta,
    by: str | None,
    queue: str | None,
    name: str | None,
    style: str,
) -> None:
    """Say how the tasks that ended lately went.

    How many, how fast, how many died, how long they waited and ran. The newest 20,000 are looked
    at: under load that is less than the window, and then it says so.
    """
    if window <= timedelta(0):
        raise ConfigurationError("--window must be longer than nothing.")
    from celers_worker.core.figures import Grouping

    with invocation.store() as store:
        from celers_worker.store import figures

        found = store.run(
            figures.report,
            window,
            by=None if by is None else Grouping(by),
            queue=queue,
            name=name,
        )
    if style == "json":
        show_document(_document(found))
    else:
        _show(found, by)


def _show(found: Report, by: str | None) -> None:
    if not found.groups:
        note(f"No task ended within {span(found.window.total_seconds())}.")
        return
    total = sum(group.ended for group in found.groups)
    say(f"{count(total, 'task')} ended within {span(found.over.total_seconds())}.")
    head = () if by is None else (Column(by.upper()),)
    rows = [
        (*(() if by is None else (group.key,)), *_rates(group), *_spans(group))
        for group in found.groups
    ]
    show_table((*head, *_RATES, *_SPANS), rows)
    if found.over < found.window:
        note(
            f"Note: more ended within {span(found.window.total_seconds())}; these are the newest, "
            f"of the last {span(found.over.total_seconds())}."
        )


def _rates(group: Figures) -> tuple[str, ...]:
    return (
        f"{group.ended:,}",
        f"{group.per_second:,.2f}",
        f"{group.failure_rate:.1%}",
        f"{group.retry_rate:.1%}",
    )


def _spans(group: Figures) -> tuple[str, ...]:
    return tuple(
        "" if value is None else span(value)
        for spread in (group.wait, group.run, group.total)
        for value in (spread.p50, spread.p95, spread.p99)
    )


def _document(found: Report) -> dict[str, Any]:
    return {
        "window_seconds": found.window.total_seconds(),
        "covered_seconds": found.over.total_seconds(),
        "groups": [
            {
                "key": group.key,
                "ended": group.ended,
                "completed": group.completed,
                "cancelled": group.cancelled,
                "expired": group.expired,
                "failed": group.failed,
                "per_second": group.per_second,
                "failure_rate": group.failure_rate,
                "retry_rate": group.retry_rate,
                "wait_seconds": _spread(group.wait),
                "run_seconds": _spread(group.run),
                "total_seconds": _spread(group.total),
            }
            for group in found.groups
        ],
    }


def _spread(spread: Spread) -> dict[str, float | None]:
    return {"p50": spread.p50, "p95": spread.p95, "p99": spread.p99, "max": spread.longest}
