"""Retention: what is past its time is deleted. Each function is one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from celers_worker.core.retention import NO_QUEUE, ages_of, longest
from celers_worker.core.task import ARCHIVED, TaskState
from celers_worker.store import history, limits, sql
from celers_worker.store.schema import (
    archive,
    attempts,
    dead_letters,
    progress,
    results,
    run_logs,
    unique_windows,
    workers,
)
from celers_worker.store.transaction import Transaction
from celers_worker.store.workflow.retention import prune as prune_workflows


def prune(
    transaction: Transaction,
    retention: Mapping[str, timedelta],
    *,
    by_queue: Mapping[str, Mapping[str, timedelta]] = NO_QUEUE,
    limit: int = 1_000,
) -> dict[str, int]:
    """Delete up to *limit* rows of each kind past their time, by the keys of ``[retention]``.

    *by_queue* goes before *retention* for the queues and keys that it names.
    """
    counts = {}
    for state in (TaskState.COMPLETED, TaskState.CANCELLED, TaskState.EXPIRED):
        instant, of_state = archive.c.completed_at, archive.c.state == state.value
        ages = ages_of(state.value, retention, by_queue)
        counts[state.value] = _prune_tasks(transaction, archive, instant, ages, limit, of_state)
    ages = ages_of("dead", retention, by_queue)
    instant = dead_letters.c.failed_at
    counts["dead"] = _prune_tasks(transaction, dead_letters, instant, ages, limit)
    kept_by_default = results.c.expires_at.is_(None)
    counts["results"] = _delete_old(
        transaction, results, results.c.created_at, retention["results"], limit, kept_by_default
    ) + _delete_old(transaction, results, results.c.expires_at, timedelta(0), limit)
    counts["attempts"] = _delete_old(
        transaction, attempts, attempts.c.failed_at, longest(retention, by_queue), limit
    )
    counts["history"] = history.prune(
        transaction, retention.get("history", longest(retention, by_queue)), limit=limit
    )
    counts["progress"] = _delete_old(
        transaction, progress, progress.c.updated_at, longest(retention, by_queue), limit
    )
    counts["logs"] = _delete_old(
        transaction, run_logs, run_logs.c.updated_at, longest(retention, by_queue), limit
    )
    counts["workflows"] = prune_workflows(transaction, retention, limit=limit)
    transaction.connection.execute(
        delete(workers).where(workers.c.expires_at < sql.later(-3600), workers.c.state == "lost")
    )
    _delete_old(transaction, unique_windows, unique_windows.c.expires_at, timedelta(0), limit)
    limits.prune(transaction, limit=limit)
    return counts


def keep_partitions(
    transaction: Transaction,
    retention: Mapping[str, timedelta],
    *,
    by_queue: Mapping[str, Mapping[str, timedelta]] = NO_QUEUE,
) -> None:
    """Make the archive's coming partitions and drop the old ones, where there are any."""
    keys = [state.value for state in ARCHIVED]
    transaction.keep_partitions(longest(retention, by_queue, keys=keys))


def _prune_tasks(
    transaction: Transaction,
    table: Any,
    instant: Any,
    ages: Mapping[str | None, timedelta],
    limit: int,
    *also: Any,
) -> int:
    named = [queue for queue in ages if queue is not None]
    deleted = 0
    for queue, age in ages.items():
        if queue is not None:
            of_queue = [table.c.queue_name == queue]
        else:
            of_queue = [table.c.queue_name.not_in(named)] if named else []
        room = limit - deleted
        if room > 0:
            deleted += _delete_old(transaction, table, instant, age, room, *also, *of_queue)
    return deleted


def _delete_old(
    transaction: Transaction, table: Any, instant: Any, age: timedelta, limit: int, *also: Any
) -> int:
    key = next(iter(table.primary_key.columns))
    past = (instant < sql.later(-age.total_seconds()), *also)
    old = select(key).where(*past).limit(limit).with_for_update(skip_locked=True)
    ids = list(transaction.connection.execute(old).scalars())
    if ids:
        transaction.connection.execute(delete(table).where(key.in_(ids), *past))
    return len(ids)
