"""Reads about many tasks at once: queues in numbers, workers, names that nobody handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, Select, case, cast, func, select
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.task import TaskState
from celers_worker.store import sql, statements
from celers_worker.store.schema import dead_letters, queues, tasks, workers
from celers_worker.store.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """A queue in numbers. ``pending`` are due, ``scheduled`` not yet; ages are in seconds."""

    name: str
    pending: int = 0
    scheduled: int = 0
    blocked: int = 0
    processing: int = 0
    dead: int = 0
    oldest_pending: float | None = None
    paused_at: datetime | None = None
    paused_reason: str | None = None
    workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker's row; ``age`` is the time since its last heartbeat, in seconds.

    ``lease_left``: seconds; ``limits`` as core.orders.Limits has them, None of an older version.
    """

    id: str
    name: str
    host: str
    pid: int
    version: str
    state: str
    queues: Sequence[str]
    handlers: Sequence[str]
    concurrency: int
    running: int
    started_at: datetime
    heartbeat_at: datetime
    age: float
    lease_left: float = 0.0
    limits: Mapping[str, Any] | None = None
    wanted_state: str | None = None
    wanted_concurrency: int | None = None
    wanted_by: str | None = None

    def serves(self, queue: str) -> bool:
        """Whether it claims tasks of *queue*, when it claims."""
        return not self.queues or queue in self.queues

    def knows(self, name: str) -> bool:
        """Whether it has a handler for tasks called *name*."""
        return name in self.handlers


def list_queues(transaction: Transaction) -> list[QueueView]:
    """Every queue that has tasks, dead letters, a pause or a worker's name for it."""
    found: dict[str, dict[str, Any]] = {}
    for row in transaction.connection.execute(_queue_counts()):
        found[row.queue_name] = {
            "pending": row.pending,
            "scheduled": row.scheduled,
            "blocked": row.blocked,
            "processing": row.processing,
            "oldest_pending": None if row.oldest is None else max(float(row.oldest), 0.0),
        }
    dead = select(dead_letters.c.queue_name, func.count()).group_by(dead_letters.c.queue_name)
    for name, count in transaction.connection.execute(dead):
        found.setdefault(name, {})["dead"] = count
    for row in transaction.connection.execute(
        select(queues).where(queues.c.paused_at.is_not(None))
    ):
        entry = found.setdefault(row.name, {})
        entry["paused_at"], entry["paused_reason"] = row.paused_at, row.paused_reason
    serving = [view.queues for view in list_workers(transaction) if view.state != "lost"]
    for name in {name for served in serving for name in served}:
        found.setdefault(name, {})
    for name, entry in found.items():
        entry["workers"] = sum(not served or name in served for served in serving)
    return [QueueView(name=name or "(foreign)", **found[name]) for name in sorted(found)]


def list_workers(transaction: Transaction) -> list[WorkerView]:
    """The workers with live leases, and those lost within the last hour."""
    age = sql.seconds_since(workers.c.heartbeat_at).label("age")
    left = (-sql.seconds_since(workers.c.expires_at)).label("lease_left")
    lapsed = (workers.c.expires_at <= sql.now()).label("lapsed")
    rows = transaction.connection.execute(
        select(workers, age, left, lapsed).order_by(workers.c.started_at)
    )
    return [
        WorkerView(
            id=row.id,
            name=row.name,
            host=row.host,
            pid=row.pid,
            version=row.version,
            state="lost" if row.lapsed else row.state,
            queues=row.queues,
            handlers=row.handlers,
            concurrency=row.concurrency,
            running=row.running,
            started_at=row.started_at,
            heartbeat_at=row.heartbeat_at,
            age=float(row.age),
            lease_left=max(float(row.lease_left), 0.0),
            limits=row.limits,
            wanted_state=row.wanted_state,
            wanted_concurrency=row.wanted_concurrency,
            wanted_by=row.wanted_by,
        )
        for row in rows
    ]


def unhandled_names(transaction: Transaction, known: Sequence[str]) -> dict[str, int]:
    """Names of waiting tasks that none of the *known* handlers runs, with their number."""
    rows = transaction.connection.execute(
        select(tasks.c.task_name, func.count())
        .where(tasks.c.state == statements.PENDING, tasks.c.task_name.not_in(known))
        .group_by(tasks.c.task_name)
    )
    return {row[0]: row[1] for row in rows}


def _queue_counts() -> Select[Any]:
    def counted(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        met = conditions[0]
        for condition in conditions[1:]:
            met = met & condition
        return cast(func.coalesce(func.sum(case((met, 1), else_=0)), 0), Integer)

    pending = tasks.c.state == statements.PENDING
    is_due = tasks.c.scheduled_at <= sql.now()
    oldest = func.min(case((pending & is_due, tasks.c.scheduled_at)))
    return select(
        tasks.c.queue_name,
        counted(pending, is_due).label("pending"),
        counted(pending, ~is_due).label("scheduled"),
        counted(tasks.c.state == TaskState.BLOCKED.value).label("blocked"),
        counted(tasks.c.state == statements.PROCESSING).label("processing"),
        sql.seconds_since(oldest).label("oldest"),
    ).group_by(tasks.c.queue_name)
