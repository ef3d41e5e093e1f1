"""Figures over a window, and how old what waits is. Bounded work: never the whole archive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, select

from celers_worker.core.figures import Figures, Grouping, Passage, figures
from celers_worker.core.task import TaskState
from celers_worker.store import sql, statements
from celers_worker.store.inspect import TaskFilter, conditions
from celers_worker.store.schema import dead_letters, tasks
from celers_worker.store.transaction import Transaction

#: Tasks that are looked at, at most: the newest of the window.
SAMPLE = 20_000

#: The ages by which waiting tasks are counted: younger than so many seconds, or older than all.
AGES: tuple[int, ...] = (60, 300, 900, 3_600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures of the newest tasks that ended within ``window``.

    ``over`` is the time that they really cover: shorter than the window if more than ``SAMPLE``
    tasks ended in it.
    """

    window: timedelta
    over: timedelta
    groups: list[Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How many due tasks of a queue have been waiting how long."""

    queue: str
    under_1m: int
    under_5m: int
    under_15m: int
    under_1h: int
    older: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCount:
    """How many live and dead tasks of a name a queue has."""

    queue: str
    name: str
    pending: int
    scheduled: int
    blocked: int
    processing: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadCount:
    """How many tasks of a name died of one kind of error; ``error`` is empty if not told apart."""

    name: str
    error: str
    count: int
    average_runs: float
    first_failed_at: datetime
    last_failed_at: datetime


def report(
    transaction: Transaction,
    window: timedelta,
    *,
    by: Grouping | None = None,
    queue: str | None = None,
    name: str | None = None,
    sample: int = SAMPLE,
) -> Report:
    """What became of the tasks that ended within *window*, the newest *sample* of each table.

    Of the archive and the dead letter queue only the newest rows are read. *queue* and *name*
    choose among them, so of a rare task little may be seen under load.
    """
    rows = transaction.newest_ended(_ended, window, limit=sample)
    since = dead_letters.c.failed_at > sql.later(-window.total_seconds())
    newest = _columns(dead_letters, dead_letters.c.failed_at).where(since)
    dead = transaction.connection.execute(
        newest.order_by(dead_letters.c.failed_at.desc()).limit(sample)
    ).all()
    seconds = window.total_seconds()
    for found in (rows, dead):
        if len(found) >= sample:
            seconds = min(seconds, max(float(row.ago) for row in found))
    over = timedelta(seconds=seconds)
    passages = [
        _passage(row)
        for row in (*rows, *dead)
        if float(row.ago) <= seconds
        and (queue is None or row.queue_name == queue)
        and (name is None or row.task_name == name)
    ]
    return Report(window=window, over=over, groups=figures(passages, over=over, by=by))


def ages(transaction: Transaction, queue: str | None = None) -> list[Ages]:
    """How long the due tasks of each queue have been waiting. Reads the index of what waits."""
    age = sql.seconds_since(tasks.c.scheduled_at)
    counted = []
    younger = 0
    for limit in AGES:
        within = (age >= younger) & (age < limit) if younger else age < limit
        counted.append(func.sum(case((within, 1), else_=0)))
        younger = limit
    counted.append(func.sum(case((age >= younger, 1), else_=0)))
    query = (
        select(tasks.c.queue_name, *counted)
        .where(tasks.c.state == statements.PENDING, tasks.c.scheduled_at <= sql.now())
        .group_by(tasks.c.queue_name)
        .order_by(tasks.c.queue_name)
    )
    if queue is not None:
        query = query.where(tasks.c.queue_name == queue)
    names = ("under_1m", "under_5m", "under_15m", "under_1h", "older")
    return [
        Ages(queue=row[0], **dict(zip(names, map(int, row[1:]), strict=True)))
        for row in transaction.connection.execute(query)
    ]


def count_names(transaction: Transaction, queue: str | None = None) -> list[NameCount]:
    """The live and dead tasks by queue and name. Reads every live task once."""
    later = tasks.c.scheduled_at > sql.now()
    pending = tasks.c.state == statements.PENDING
    conditions = {
        "pending": pending & ~later,
        "scheduled": pending & later,
        "blocked": tasks.c.state == sql.state(TaskState.BLOCKED),
        "processing": tasks.c.state == statements.PROCESSING,
    }
    live = select(
        tasks.c.queue_name,
        tasks.c.task_name,
        *(func.sum(case((met, 1), else_=0)).label(key) for key, met in conditions.items()),
    ).group_by(tasks.c.queue_name, tasks.c.task_name)
    dead = select(dead_letters.c.queue_name, dead_letters.c.task_name, func.count()).group_by(
        dead_letters.c.queue_name, dead_letters.c.task_name
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in transaction.connection.execute(_of(live, tasks, queue)):
        found[row[0], row[1]] = {key: int(getattr(row, key)) for key in conditions}
    for row in transaction.connection.execute(_of(dead, dead_letters, queue)):
        found.setdefault((row[0], row[1]), {})["dead"] = row[2]
    zero = {**dict.fromkeys(conditions, 0), "dead": 0}
    return [
        NameCount(queue=key[0], name=key[1], **(zero | counts))
        for key, counts in sorted(found.items())
    ]


def count_dead(
    transaction: Transaction, wanted: TaskFilter, *, by_error: bool = True
) -> list[DeadCount]:
    """Dead tasks by name and kind of error, the most frequent first. Reads every one once."""
    t = dead_letters.c
    kind = sql.before_colon(func.coalesce(t.error_message, "")) if by_error else sql.words("")
    rows = transaction.connection.execute(
        select(
            t.task_name,
            kind.label("error"),
            func.count().label("dead"),
            func.avg(t.retry_count + t.crash_count).label("runs"),
            func.min(t.failed_at).label("first"),
            func.max(t.failed_at).label("last"),
        )
        .where(*conditions(dead_letters, wanted))
        .group_by(t.task_name, "error")
    )
    found = [
        DeadCount(
            name=row.task_name,
            error=row.error,
            count=row.dead,
            average_runs=float(row.runs),
            first_failed_at=row.first,
            last_failed_at=row.last,
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (-one.count, one.name, one.error))


def _of(query: Select[Any], table: Any, queue: str | None) -> Select[Any]:
    return query if queue is None else query.where(table.c.queue_name == queue)


def _ended(table: Any) -> Select[Any]:
    return _columns(table, table.c.completed_at)


def _columns(table: Any, ended: Any) -> Select[Any]:
    return select(
        table.c.task_name,
        table.c.queue_name,
        table.c.state,
        table.c.retry_count,
        table.c.crash_count,
        table.c.created_at,
        table.c.scheduled_at,
        table.c.started_at,
        ended.label("ended_at"),
        sql.seconds_since(ended).label("ago"),
    )


def _passage(row: Any) -> Passage:
    started, ended = row.started_at, row.ended_at
    state = TaskState(row.state)
    failed = row.retry_count + row.crash_count
    return Passage(
        name=row.task_name,
        queue=row.queue_name,
        state=state,
        # The run that ended it; of a dead task it is among those that failed.
        runs=failed if state is TaskState.FAILED else failed + (started is not None),
        wait=None if started is None else (started - row.scheduled_at).total_seconds(),
        run=None if started is None else (ended - started).total_seconds(),
        total=(ended - row.created_at).total_seconds(),
    )
