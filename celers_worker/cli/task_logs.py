"""``celers task logs``: what the handlers of a task wrote to their logs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli.choosing import TASK_ID
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import count, format_option, note, printable_lines, show_document
from celers_worker.core.errors import ConfigurationError, TaskNotFound
from celers_worker.core.task import LIVE

if TYPE_CHECKING:
    from celers_worker.core.run_log import Line
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.inspect import TaskView
    from celers_worker.store.run_logs import KeptLog

#: How often ``--follow`` looks, in seconds. Workers write at their heartbeats.
_PAUSE = 0.5


@click.command("logs")
@click.argument("task_id", metavar="ID", type=TASK_ID)
@click.option("-f", "--follow", is_flag=True, help="Go on until the task has ended.")
@click.option("--attempt", metavar="N", type=click.IntRange(1), help="Of this run only.")
@format_option
@click.pass_obj
def command(
    invocation: Invocation, task_id: UUID, follow: bool, attempt: int | None, style: str
) -> None:
    """Show what the handler of a task wrote to its log, run by run.

    Lines of a run that goes on come with its worker's next heartbeat. How many are kept of each
    run, [log] keep_lines says.
    """
    if follow and style == "json":
        raise ConfigurationError(
            "--follow has no end that JSON could be read up to: leave out one of the two."
        )
    with invocation.store() as store:
        view, logs = _look(store, task_id, attempt)
        if style == "json":
            show_document([document(log) for log in logs])
            return
        reader = _Reader()
        reader.show(logs)
        while follow and view.state in LIVE:
            time.sleep(_PAUSE)
            view, logs = _look(store, task_id, attempt)
            reader.show(logs)
        if not reader.lines:
            note(f"Nothing was logged by the handler of {view.name!r}, or it is not written yet.")


def document(log: KeptLog) -> dict[str, Any]:
    """The log of a run for programs."""
    written = log.written
    return {
        "attempt": log.attempt,
        "lease": log.lease,
        "worker": log.worker,
        "lines": [
            {"at": _instant(line), "level": line.level, "text": line.text}
            for line in (*written.first, *written.last)
        ],
        "dropped_after": len(written.first) if written.dropped else None,
        "dropped": written.dropped,
    }


def texts_of(log: KeptLog) -> list[str]:
    """The log of a run for people, a text for each line."""
    written = log.written
    return [
        *(_text(line) for line in written.first),
        *([_gap(written.dropped)] if written.dropped else []),
        *(_text(line) for line in written.last),
    ]


class _Reader:
    """Shows each line once, though the logs are read again and again."""

    def __init__(self) -> None:
        self.lines = 0
        self._seen: dict[int, int] = {}
        self._run: int | None = None

    def show(self, logs: Sequence[KeptLog]) -> None:
        for log in logs:
            written, seen = log.written, self._seen.get(log.lease, 0)
            if written.total <= seen:
                continue
            if self._run != log.lease:
                self._run = log.lease
                by = f", worker {log.worker}" if log.worker else ""
                click.echo(click.style(printable_lines(f"attempt {log.attempt}{by}"), bold=True))
            begin = len(written.first) + written.dropped  # the number of the first of the last
            for line in written.first[seen:]:
                self._line(_text(line))
            if written.dropped and seen < begin:
                self._line(_gap(begin - max(seen, len(written.first))))
            for line in written.last[max(seen - begin, 0) :]:
                self._line(_text(line))
            self._seen[log.lease] = written.total

    def _line(self, text: str) -> None:
        self.lines += 1
        click.echo(f"  {printable_lines(text)}".replace("\n", "\n    "))


def _look(store: DirectStore, task_id: UUID, attempt: int | None) -> tuple[TaskView, list[KeptLog]]:
    from celers_worker.cli import task_view
    from celers_worker.store import inspect, run_logs

    # First the state: a log is written before its run is settled.
    view = store.run(inspect.task, task_id)
    if view is None:
        raise TaskNotFound(task_view.unknown(task_id))
    logs = store.run(run_logs.logs_of, task_id)
    return view, [log for log in logs if attempt in (None, log.attempt)]


def _instant(line: Line) -> datetime:
    return datetime.fromtimestamp(line.at, UTC)


def _text(line: Line) -> str:
    at = _instant(line).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{at} {line.level:<8} {line.text}"


def _gap(lines: int) -> str:
    return f"… {count(lines, 'line')} not kept …"
