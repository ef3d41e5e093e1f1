"""A worker as people and programs see it: a row of a table, a page, a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.output import Column, age, count, printable, show_table, span

if TYPE_CHECKING:
    from celers_worker.store.running import RunningTask
    from celers_worker.store.survey import WorkerView

COLUMNS = (
    Column("ID"),
    Column("NAME"),
    Column("STATE"),
    Column("RUNNING", right=True),
    Column("HOST"),
    Column("PID", right=True),
    Column("STARTED"),
    Column("SEEN"),
    Column("QUEUES", cut=True),
)
_TASKS = (
    Column("ID"),
    Column("NAME"),
    Column("QUEUE"),
    Column("RUN", right=True),
    Column("FOR", right=True),
)


def row(view: WorkerView) -> tuple[str, ...]:
    """A line of the list."""
    return (
        view.id,
        view.name,
        _state(view),
        f"{view.running}/{view.concurrency}",
        view.host,
        str(view.pid),
        age(view.started_at),
        f"{span(max(view.age, 0.0))} ago",
        ", ".join(view.queues) or "all",
    )


def document(view: WorkerView) -> dict[str, Any]:
    """A worker for programs; the keys are part of the interface."""
    return {
        "id": view.id,
        "name": view.name,
        "host": view.host,
        "pid": view.pid,
        "version": view.version,
        "state": view.state,
        "queues": list(view.queues),
        "handlers": list(view.handlers),
        "concurrency": view.concurrency,
        "running": view.running,
        "limits": view.limits,
        "started_at": view.started_at,
        "heartbeat_at": view.heartbeat_at,
        "heartbeat_age_seconds": view.age,
        "lease_left_seconds": view.lease_left,
        "wanted_state": view.wanted_state,
        "wanted_concurrency": view.wanted_concurrency,
        "wanted_by": view.wanted_by,
    }


def full_document(view: WorkerView, tasks: Sequence[RunningTask]) -> dict[str, Any]:
    """A worker for programs with what it runs."""
    return {
        **document(view),
        "tasks": [
            {
                "id": task.id,
                "name": task.name,
                "queue": task.queue,
                "attempt": task.attempt,
                "started_at": task.started_at,
                "running_seconds": task.age,
            }
            for task in tasks
        ],
    }


def show_page(view: WorkerView, tasks: Sequence[RunningTask]) -> None:
    """Print everything about a worker."""
    facts = [(title, text) for title, text in _facts(view) if text]
    width = max(len(title) for title, _ in facts)
    for title, text in facts:
        click.echo(f"{click.style(title.ljust(width), bold=True)}  {printable(text)}")
    if tasks:
        click.echo(f"\n{click.style('running', bold=True)}")
        show_table(
            _TASKS,
            [
                (str(task.id), task.name, task.queue, str(task.attempt), span(task.age))
                for task in tasks
            ],
        )


def _facts(view: WorkerView) -> Iterator[tuple[str, str]]:
    yield "id", view.id
    yield "name", view.name
    yield "state", _state(view)
    yield "asked", _asked(view)
    yield "host", f"{view.host}, pid {view.pid}"
    yield "version", view.version
    yield "started", age(view.started_at)
    yield "seen", f"{span(max(view.age, 0.0))} ago"
    yield "lease", "ran out" if view.state == "lost" else f"{span(view.lease_left)} left"
    yield "permits", f"{view.running:,} of {view.concurrency:,} in use"
    yield "queues", ", ".join(view.queues) or "all"
    yield "limits", _limits(view)
    handlers = f"{count(len(view.handlers), 'handler')}: {', '.join(view.handlers)}"
    yield "handlers", handlers if view.handlers else "none"


def _state(view: WorkerView) -> str:
    """What it does, and what it has been asked to do and has not read yet."""
    wanted = view.wanted_state
    if view.state == "lost" or wanted in (None, view.state):
        return view.state
    return f"{view.state}, to be {wanted}"


def _asked(view: WorkerView) -> str:
    if view.wanted_by is None:
        return ""
    wishes = [view.wanted_state or ""]
    if view.wanted_concurrency is not None:
        wishes.append(f"{view.wanted_concurrency:,} at once")
    return f"{', '.join(wish for wish in wishes if wish)}, by {view.wanted_by}"


def _limits(view: WorkerView) -> str:
    limits = view.limits or {}
    of_queues = {
        f"queue {name}": limit
        for name, limit in (limits.get("queues") or {}).items()
        if limit < view.concurrency
    }
    of_handlers = {f"handler {name}": n for name, n in (limits.get("handlers") or {}).items()}
    return ", ".join(f"{what} {limit:,}" for what, limit in (of_queues | of_handlers).items())
