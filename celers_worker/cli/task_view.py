"""A task as people and programs see it: a row of a table, a page, a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli import task_history, task_logs
from celers_worker.cli.output import (
    Column,
    age,
    count,
    printable,
    printable_lines,
    show_table,
    span,
)
from celers_worker.core.errors import PayloadError
from celers_worker.core.task import LIVE, TaskState

if TYPE_CHECKING:
    from celers_worker.store.history import Transition
    from celers_worker.store.inspect import Attempt, TaskView
    from celers_worker.store.progress import Told
    from celers_worker.store.results import Ending
    from celers_worker.store.run_logs import KeptLog

COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("NAME"),
    Column("QUEUE"),
    Column("RUNS", right=True),
    Column("WHEN"),
    Column("ERROR", cut=True),
)


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything about one task."""

    view: TaskView
    attempts: Sequence[Attempt]
    ending: Ending | None
    told: Told | None = None
    """How far its handler said it was."""
    trail: Sequence[Transition] = ()
    logs: Sequence[KeptLog] = ()
    """What its handlers wrote to their logs, run by run."""

    @property
    def result(self) -> Any:
        """What the handler returned, as JSON has it; what is not JSON is in ``result_bytes``."""
        if self.ending is None or self.ending.codec is not None:
            return None
        return self.ending.value

    @property
    def result_bytes(self) -> bytes | None:
        """What the handler returned, if it is not JSON."""
        if self.ending is None or self.ending.codec is None:
            return None
        return self.ending.result


def show_rows(views: Sequence[TaskView]) -> None:
    """Print a line for each task."""
    show_table(COLUMNS, [_row(view) for view in views])


def _row(view: TaskView) -> tuple[str, ...]:
    error = (view.error or view.reason or "").strip().split("\n")[0]
    state = "cancelling" if view.cancel_requested and view.state in LIVE else view.state.value
    runs = f"{view.attempt if view.started_at else view.attempt - 1}/{view.max_retries + 1}"
    return str(view.id), state, view.name, view.queue, runs, _when(view), error


def _when(view: TaskView) -> str:
    match view.state:
        case TaskState.PENDING:
            return f"due {age(view.scheduled_at)}"
        case TaskState.PROCESSING:
            return f"started {age(view.started_at)}"
        case TaskState.BLOCKED:
            return f"enqueued {age(view.created_at)}"
        case _:
            return f"ended {age(view.completed_at or view.created_at)}"


def document(view: TaskView) -> dict[str, Any]:
    """A task for programs; the keys are part of the interface."""
    return {
        "id": view.id,
        "name": view.name,
        "queue": view.queue,
        "state": view.state.value,
        "priority": view.priority,
        "retry_count": view.retry_count,
        "crash_count": view.crash_count,
        "max_retries": view.max_retries,
        "lease": view.lease,
        "created_at": view.created_at,
        "scheduled_at": view.scheduled_at,
        "started_at": view.started_at,
        "completed_at": view.completed_at,
        "expires_at": view.expires_at,
        "timeout": view.timeout,
        "worker": view.worker,
        "error": view.error,
        "reason": view.reason,
        "unique_key": view.unique_key,
        "fingerprint": view.fingerprint,
        "cancel_requested": view.cancel_requested,
    }


def full_document(dossier: Dossier) -> dict[str, Any]:
    """A task for programs with its payload, its attempts and its result."""
    payload, is_json = _decoded(dossier.view.payload)
    attempts = [
        {
            "number": attempt.number,
            "worker": attempt.worker,
            "started_at": attempt.started_at,
            "failed_at": attempt.failed_at,
            "error_type": attempt.error_type,
            "error": attempt.error_message,
            "traceback": attempt.traceback,
        }
        for attempt in dossier.attempts
    ]
    return {
        **document(dossier.view),
        "payload": payload if is_json else None,
        # What is not JSON travels as base64.
        "payload_bytes": None if is_json else dossier.view.payload,
        "metadata": dossier.view.metadata,
        "attempts": attempts,
        "result": dossier.result,
        "progress": None
        if dossier.told is None
        else {
            "done": dossier.told.progress.done,
            "total": dossier.told.progress.total,
            "message": dossier.told.progress.message,
            "at": dossier.told.at,
        },
        "result_bytes": dossier.result_bytes,
        "codec": dossier.ending and dossier.ending.codec,
        "runtime": dossier.ending and dossier.ending.runtime,
        "error_type": dossier.ending and dossier.ending.error_type,
        "error_data": dossier.ending and error_data(dossier.ending),
        "history": [task_history.document(transition) for transition in dossier.trail],
        "logs": [task_logs.document(log) for log in dossier.logs],
    }


def show_page(dossier: Dossier) -> None:
    """Print everything about a task."""
    facts = (*_facts(dossier.view), *_ending_facts(dossier.ending))
    lines = [(title, text) for title, text in facts if text]
    if dossier.told is not None:
        lines.append(("progress", f"{dossier.told.progress}, {age(dossier.told.at)}"))
    width = max(len(title) for title, _ in lines)
    for title, text in lines:
        click.echo(f"{click.style(title.ljust(width), bold=True)}  {printable(text)}")
    _show_section("payload", _written(dossier.view.payload))
    if dossier.view.metadata:
        _show_section("metadata", _pretty(dossier.view.metadata))
    for attempt in dossier.attempts:
        took = ""
        if attempt.started_at is not None:
            took = f" after {span((attempt.failed_at - attempt.started_at).total_seconds())}"
        head = f"attempt {attempt.number} failed {age(attempt.failed_at)}{took}"
        by = f", worker {attempt.worker}" if attempt.worker else ""
        trace = attempt.traceback or f"{attempt.error_type}: {attempt.error_message}"
        _show_section(printable(head + by), trace)
    if dossier.ending is not None and (data := error_data(dossier.ending)):
        _show_section("error data", _pretty(data))
    if dossier.trail:
        click.echo(f"\n{click.style('history', bold=True)}")
        task_history.show_rows(dossier.trail)
    for log in dossier.logs:
        _show_section(f"log of attempt {log.attempt}", "\n".join(task_logs.texts_of(log)))
    if dossier.view.state is TaskState.COMPLETED:
        _show_section("result", result_text(dossier))


def _facts(view: TaskView) -> Iterator[tuple[str, str]]:
    yield "id", str(view.id)
    yield "name", view.name
    yield "queue", view.queue
    yield "state", view.state.value + (" (asked to stop)" if view.cancel_requested else "")
    yield "reason", view.reason or ""
    yield "error", (view.error or "").strip().split("\n")[0]
    yield "priority", str(view.priority)
    crashes = f", {count(view.crash_count, 'crash', 'crashes')}" if view.crash_count else ""
    yield "retries", f"{view.retry_count} of {view.max_retries}{crashes}"
    yield "enqueued", _instant(view.created_at)
    yield "due", _instant(view.scheduled_at)
    yield "started", _instant(view.started_at)
    yield "ended", _instant(view.completed_at)
    yield "expires", _instant(view.expires_at)
    yield "timeout", "" if view.timeout is None else span(view.timeout)
    yield "worker", view.worker or ""
    yield "unique key", view.unique_key or ""
    yield "fingerprint", view.fingerprint or ""


def _ending_facts(ending: Ending | None) -> Iterator[tuple[str, str]]:
    if ending is not None and ending.ended:
        yield "error type", ending.error_type or ""
        yield "runtime", "" if ending.runtime is None else span(ending.runtime)
        yield "codec", ending.codec or ""


def error_data(ending: Ending) -> Any:
    """The attributes of the exception, if its handler declares it."""
    from celers_worker.core.exceptions import read_fields

    fields = read_fields(ending.error_data)
    return None if fields is None else fields.attributes


def result_text(dossier: Dossier) -> str:
    """What the handler returned, for people."""
    data = dossier.result_bytes
    return _pretty(dossier.result) if data is None else _not_json(data)


def _instant(instant: datetime | None) -> str:
    if instant is None:
        return ""
    return f"{instant.isoformat(timespec='milliseconds').replace('+00:00', 'Z')} ({age(instant)})"


def _show_section(title: str, text: str) -> None:
    click.echo(f"\n{click.style(title, bold=True)}")
    for line in printable_lines(text).split("\n"):
        click.echo(f"  {line}")


def _decoded(payload: bytes) -> tuple[Any, bool]:
    from celers_worker.core.payload import decode

    try:
        return decode(payload), True
    except PayloadError:
        return None, False


def _written(payload: bytes) -> str:
    value, is_json = _decoded(payload)
    if is_json:
        return _pretty(value)
    return _not_json(payload)


def _not_json(data: bytes) -> str:
    return f"{count(len(data), 'byte')} that are not JSON: {data[:60]!r}"


def _pretty(value: Any) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def unknown(task_id: UUID) -> str:
    """Say that there is no such task."""
    return f"there is no task {task_id}, or its retention is over. See: celers task list"
