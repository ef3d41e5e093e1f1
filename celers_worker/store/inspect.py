"""Reads for people: lists, one task with its history, counts. Never part of the hot path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.task import ARCHIVED, LIVE, TaskState
from celers_worker.store import sql
from celers_worker.store.schema import (
    TASK_COLUMNS,
    archive,
    attempts,
    dead_letters,
    tasks,
)
from celers_worker.store.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks are meant; all that is given must hold. ``text`` is looked for in the error.

    ``older_than`` and ``newer_than`` are the age of a dead task's death, and of another's enqueue.
    ``states`` may be left empty; ``scheduled`` adds those that are pending but not due yet.
    ``metadata`` compares values of the top level as text.
    """

    ids: Sequence[UUID] = ()
    states: Sequence[TaskState] = ()
    queue: str | None = None
    name: str | None = None
    worker: str | None = None
    fingerprint: str | None = None
    tag: str | None = None
    unique_key: str | None = None
    text: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    scheduled: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that failed."""

    number: int
    worker: str | None
    started_at: datetime | None
    failed_at: datetime
    error_type: str
    error_message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as people look at it, wherever it is kept."""

    id: UUID
    name: str
    queue: str
    state: TaskState
    priority: int
    retry_count: int
    crash_count: int
    max_retries: int
    lease: int
    created_at: datetime
    scheduled_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None
    timeout: float | None
    worker: str | None
    error: str | None
    reason: str | None
    unique_key: str | None
    fingerprint: str | None
    payload: bytes = field(repr=False)
    metadata: Mapping[str, Any] | None = field(repr=False)
    cancel_requested: bool

    @property
    def attempt(self) -> int:
        """How many runs there were, or for a running task the number of its run."""
        return self.retry_count + self.crash_count + (self.state is not TaskState.FAILED)


def task(transaction: Transaction, task_id: UUID) -> TaskView | None:
    """Find a task wherever it is: live, archived or dead."""
    for table in (tasks, archive, dead_letters):
        row = transaction.connection.execute(
            _views(table).where(table.c.id == task_id).limit(1)
        ).first()
        if row is not None:
            return _task_view(row)
    return None


def list_tasks(
    transaction: Transaction,
    wanted: TaskFilter,
    *,
    limit: int = 50,
    before: UUID | None = None,
    payloads: bool = True,
) -> list[TaskView]:
    """The newest tasks first; *before* continues after the last of an earlier page.

    Without *payloads* they are not read, which not everybody may who may list tasks.

    A page is one statement, so that a task which moves from table to table meanwhile is on it once;
    and as it keeps its id, it is on one page only.
    """
    pages = []
    for table in _tables(wanted):
        query = _views(table, payloads=payloads).where(*conditions(table, wanted))
        if before is not None:
            query = query.where(table.c.id < before)
        page = query.order_by(table.c.id.desc()).limit(limit).subquery()
        pages.append(select(*page.c))
    every = union_all(*pages).subquery("page")
    rows = transaction.connection.execute(select(*every.c).order_by(every.c.id.desc()).limit(limit))
    return [_task_view(row) for row in rows]


def count_tasks(transaction: Transaction, wanted: TaskFilter) -> int:
    """How many tasks the filter means."""
    return sum(
        transaction.connection.execute(
            select(func.count()).select_from(table).where(*conditions(table, wanted))
        ).scalar_one()
        for table in _tables(wanted)
    )


def attempts_of(transaction: Transaction, task_id: UUID) -> list[Attempt]:
    """The failed attempts of a task, the first one first."""
    rows = transaction.connection.execute(
        select(attempts).where(attempts.c.task_id == task_id).order_by(attempts.c.lease)
    )
    return [
        Attempt(
            number=row.attempt,
            worker=row.worker_id,
            started_at=row.started_at,
            failed_at=row.failed_at,
            error_type=row.error_type,
            error_message=row.error_message,
            traceback=row.traceback,
        )
        for row in rows
    ]


def conditions(table: Any, wanted: TaskFilter) -> list[ColumnElement[bool]]:
    """*wanted* as conditions on *table*."""
    found: list[ColumnElement[bool]] = []
    if wanted.ids:
        found.append(table.c.id.in_(wanted.ids))
    in_state = [table.c.state == sql.state(state) for state in wanted.states]
    if wanted.scheduled:
        later = table.c.scheduled_at > sql.now()
        in_state.append(and_(table.c.state == sql.state(TaskState.PENDING), later))
    if in_state:
        found.append(or_(*in_state))
    same = {
        "queue_name": wanted.queue,
        "task_name": wanted.name,
        "worker_id": wanted.worker,
        "fingerprint": wanted.fingerprint,
        "unique_key": wanted.unique_key,
    }
    found += [table.c[column] == value for column, value in same.items() if value is not None]
    if wanted.tag is not None:
        found.append(sql.has_tag(table.c.metadata, wanted.tag, json.dumps(wanted.tag)))
    if wanted.text is not None:
        found.append(
            func.lower(table.c.error_message).contains(wanted.text.lower(), autoescape=True)
        )
    instant = table.c.failed_at if table is dead_letters else table.c.created_at
    if wanted.older_than is not None:
        found.append(instant < sql.later(-wanted.older_than.total_seconds()))
    if wanted.newer_than is not None:
        found.append(instant >= sql.later(-wanted.newer_than.total_seconds()))
    found += [
        sql.json_text(table.c.metadata, key) == value for key, value in wanted.metadata.items()
    ]
    return found


def _tables(wanted: TaskFilter) -> list[Any]:
    states = frozenset(wanted.states) | ({TaskState.PENDING} if wanted.scheduled else frozenset())
    return [
        table
        for table, held in ((tasks, LIVE), (archive, ARCHIVED), (dead_letters, {TaskState.FAILED}))
        if not states or states & held
    ]


def _views(table: Any, *, payloads: bool = True) -> Select[Any]:
    reason = table.c.reason if table is dead_letters else table.c.cancel_reason
    columns = [table.c[name] for name in TASK_COLUMNS if payloads or name != "payload"]
    return select(*columns, reason.label("reason"))


def _task_view(row: Any) -> TaskView:
    return TaskView(
        id=row.id,
        name=row.task_name,
        queue=row.queue_name,
        state=TaskState(row.state),
        priority=row.priority,
        retry_count=row.retry_count,
        crash_count=row.crash_count,
        max_retries=row.max_retries,
        lease=row.lease,
        created_at=row.created_at,
        scheduled_at=row.scheduled_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        expires_at=row.expires_at,
        timeout=row.timeout,
        worker=row.worker_id,
        error=row.error_message,
        reason=row.reason,
        unique_key=row.unique_key,
        fingerprint=row.fingerprint,
        payload=bytes(getattr(row, "payload", b"")),
        metadata=row.metadata,
        cancel_requested=row.cancel_requested_at is not None,
    )
