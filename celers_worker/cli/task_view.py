"""A task as people and programs see it: a row of a table, a page, a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli import task_history
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
    result: Any
    trail: Sequence[Transition] = ()


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
        "history": [task_history.document(transition) for transition in dossier.trail],
    }


def show_page(dossier: Dossier) -> None:
    """Print everything about a task."""
    lines = [(title, text) for title, text in _facts(dossier.view) if text]
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
    if dossier.trail:
        click.echo(f"\n{click.style('history', bold=True)}")
        task_history.show_rows(dossier.trail)
    if dossier.view.state is TaskState.COMPLETED:
        _show_section("result", _pretty(dossier.result))


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
    return f"{count(len(payload), 'byte')} that are not JSON: {payload[:60]!r}"


def _pretty(value: Any) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
