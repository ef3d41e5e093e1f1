"""``celers selftest``: workers are broken on purpose, and nothing may get lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.choosing import DURATION
from celers_worker.cli.ending import ended_in_order
from celers_worker.cli.failure import Failed
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import Column, format_option, note, say, show_document, show_table
from celers_worker.core.duration import format_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.version import __version__

if TYPE_CHECKING:
    from celers_worker.selftest.run import Report

_FAULTS = (Column("DONE TO THEM"), Column("TIMES", right=True))
_FINDINGS = (Column("FOUND"), Column("COUNT", right=True), Column("PROMISED", right=True))
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)
#: More problems than that say nothing new.
_TOLD = 20


@click.command("selftest")
@click.option("--url", metavar="URL", help="The database; the same as `celers --database URL`.")
@click.option(
    "--seconds",
    type=DURATION,
    default="60",
    show_default=True,
    metavar="DURATION",
    help="How long workers are harmed; each fault is done once at least.",
)
@click.option(
    "--here",
    is_flag=True,
    help="In the named database itself, which must hold no tables of Celers: for a user who may "
    "make neither a database nor a schema.",
)
@format_option
@click.pass_obj
def command(
    invocation: Invocation, url: str | None, seconds: timedelta, here: bool, style: str
) -> None:
    """Kill and freeze workers on your database, and see that nothing gets lost.

    It works in a place of its own, which is erased afterwards, also after Ctrl-C: a database, a
    schema, or a file beside the named one. But it is load: a server that others use will feel it.

    Exit code 1: a promise was broken.
    """
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ConfigurationError(
            f"--seconds is {format_duration(seconds)}: it must lie between 1 and 3600."
        )
    config = invocation.at(url).config()

    from celers_worker.selftest.run import selftest

    with ended_in_order():
        report = selftest(config, seconds=seconds.total_seconds(), here=here, tell=note)
    if style == "json":
        show_document(_document(report))
    else:
        _show(report)
    problems = report.verdict.problems
    if problems:
        more = len(problems) - _TOLD
        raise Failed(
            *problems[:_TOLD],
            *([f"and {more:,} more"] if more > 0 else []),
            "promises were broken. This is a bug of celers-worker: report it with the output of "
            "`celers selftest --format json` and of `celers --version --verbose`.",
        )


def _document(report: Report) -> dict[str, Any]:
    from celers_worker.selftest.evidence import Promise
    from celers_worker.selftest.run import PROMISED

    verdict = report.verdict
    return {
        "server": report.server,
        "version": __version__,
        "place": report.place,
        "faults": dict(report.faults),
        "tasks": verdict.tasks,
        "completed": verdict.completed,
        "run_again": verdict.reruns,
        "unanswered_and_there": verdict.unknown_found,
        "refused": report.refused,
        "longest_recovery": report.longest_recovery,
        "promised_recovery": PROMISED,
        "broken": {promise.value: verdict.broken(promise) for promise in Promise},
        "problems": [
            {
                "promise": problem.promise.value,
                "problem": problem.text,
                "task": None if problem.task is None else str(problem.task),
            }
            for problem in verdict.found
        ],
    }


def _show(report: Report) -> None:
    from celers_worker.selftest.evidence import Promise
    from celers_worker.selftest.run import PROMISED

    verdict = report.verdict
    say(f"{report.server}, in {report.place}, which is erased; celers-worker {__version__}")
    click.echo()
    show_table(_FAULTS, [(name, f"{count:,}") for name, count in sorted(report.faults.items())])
    click.echo()
    longest = report.longest_recovery
    show_table(
        _FINDINGS,
        [
            *((promise.value, f"{verdict.broken(promise):,}", "0") for promise in Promise),
            (
                "longest from a worker's death to the next run",
                "-" if longest is None else f"{longest:.1f} s",
                f"{PROMISED:g} s",
            ),
            ("tasks sent", f"{verdict.tasks:,}", ""),
            ("completed", f"{verdict.completed:,}", ""),
            ("run again, with a recorded reason", f"{verdict.reruns:,}", ""),
            ("enqueued without an answer, and there", f"{verdict.unknown_found:,}", ""),
            ("late writes of ended leases, refused", f"{report.refused:,}", ""),
        ],
    )
    if not verdict.problems:
        click.echo()
        say(f"{sum(report.faults.values()):,} faults, and every promise was kept.")
