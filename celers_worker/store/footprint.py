"""What one queue leaves in the database: how its tasks went, and how all of it is erased.

For benchmarks, which promise to touch nothing else. A queue is named together with a span of ids:
they begin with the time, so that a span is a range of the primary key, and an archive of any size
is neither scanned nor locked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.payload import decode
from celers_worker.store.schema import (
    archive,
    attempts,
    dead_letters,
    progress,
    queues,
    results,
    run_logs,
    tasks,
    workers,
)
from celers_worker.store.transaction import Transaction
from celers_worker.store.values import chunks

#: Wherever a task can be.
_HOMES = (tasks, archive, dead_letters)


@dataclass(frozen=True, slots=True)
class Footprint:
    """The tasks of *queue* with ids between *first* and *last*, both included."""

    queue: str
    first: UUID
    last: UUID


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker completed, from first claim to last settle by the database's clock."""

    tasks: int
    began: datetime
    ended: datetime


def ping(transaction: Transaction) -> None:
    """Ask what costs the server nothing: one round trip."""
    transaction.connection.execute(select(1)).scalar_one()


# --- the mark: what a run leaves first and takes away last ---


def mark(transaction: Transaction, queue: str) -> None:
    """Give *queue* a row of its own, so that ``marked`` finds it whatever happens to us."""
    transaction.connection.execute(insert(queues).values(name=bindparam("of")), {"of": queue})


def marked(transaction: Transaction, prefix: str) -> list[str]:
    """The queues with a row whose names begin with *prefix*."""
    names = select(queues.c.name).where(queues.c.name.startswith(prefix, autoescape=True))
    return sorted(transaction.connection.execute(names).scalars())


# --- how its tasks went ---


def shares(transaction: Transaction, of: Footprint) -> list[Share]:
    """What each worker has completed; a process may have been several workers, one at a time."""
    rows = transaction.connection.execute(
        select(func.count(), func.min(archive.c.started_at), func.max(archive.c.completed_at))
        .where(*_within(archive, of))
        .group_by(archive.c.worker_id)
    )
    return [Share(count, began, ended) for count, began, ended in rows]


def completed(transaction: Transaction, of: Footprint, since: datetime, until: datetime) -> int:
    """How many tasks were completed after *since*, up to *until*."""
    settled = (archive.c.completed_at > since, archive.c.completed_at <= until)
    query = select(func.count()).select_from(archive).where(*_within(archive, of), *settled)
    return int(transaction.connection.execute(query).scalar_one())


def values_of(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, Any]:
    """What the handlers of these tasks have returned; those without a result are left out."""
    return {
        row.task_id: decode(row.result)
        for chunk in chunks(list(ids))
        for row in transaction.connection.execute(
            select(results.c.task_id, results.c.result).where(results.c.task_id.in_(chunk))
        )
    }


# --- how it is erased ---


def erase(transaction: Transaction, of: Footprint, *, limit: int = 5_000) -> UUID | None:
    """Delete the first tasks, at most *limit*, wherever they are, with their results and attempts.

    Returns the last id, where to go on; None: there was nothing. What moves from one table to
    another meanwhile is left: begin anew until there is nothing.
    """
    homes = {table: _first_ids(transaction, table, of, limit) for table in _HOMES}
    ids = sorted(task_id for found in homes.values() for task_id in found)[:limit]
    if not ids:
        return None
    batch = Footprint(of.queue, ids[0], ids[-1])
    wanted = frozenset(ids)
    for table in (results, attempts, progress, run_logs):
        beside = select(table.c.task_id).where(*_between(table.c.task_id, batch)).distinct()
        met = wanted.intersection(transaction.connection.execute(beside).scalars())
        if met:
            transaction.connection.execute(delete(table).where(table.c.task_id.in_(met)))
    for table, found in homes.items():
        # By ids, although a range would be shorter: that would wait for the locks of other queues.
        if met := wanted.intersection(found):
            ours = (table.c.id.in_(met), table.c.queue_name == of.queue)
            transaction.connection.execute(delete(table).where(*ours))
    return batch.last


def forget(transaction: Transaction, queue: str) -> None:
    """Delete the rows of the workers that serve *queue* and no other, and what is said about it."""
    serving = transaction.connection.execute(select(workers.c.id, workers.c.queues))
    ids = [row.id for row in serving if row.queues == [queue]]
    if ids:
        transaction.connection.execute(delete(workers).where(workers.c.id.in_(ids)))
    transaction.connection.execute(delete(queues).where(queues.c.name == queue))


def _first_ids(transaction: Transaction, table: Any, of: Footprint, limit: int) -> list[UUID]:
    query = select(table.c.id).where(*_within(table, of)).order_by(table.c.id).limit(limit)
    return list(transaction.connection.execute(query).scalars())


def _within(table: Any, of: Footprint) -> list[ColumnElement[bool]]:
    return [table.c.queue_name == of.queue, *_between(table.c.id, of)]


def _between(column: Any, of: Footprint) -> list[ColumnElement[bool]]:
    return [column >= of.first, column <= of.last]
