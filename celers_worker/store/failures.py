"""The newest attempts that failed, and the newest dead, in groups. Bounded work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from celers_worker.core.failures import FailedRun, FailureGroup, grouped
from celers_worker.core.fingerprint import LONGEST
from celers_worker.store import sql
from celers_worker.store.schema import archive, attempts, dead_letters, tasks
from celers_worker.store.transaction import Transaction
from celers_worker.store.values import chunks

#: Attempts that are looked at, at most: the newest ones.
SAMPLE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport:
    """The groups of the newest attempts that failed; ``looked_at`` attempts of ``window``.

    ``cut``: there were more of them, and only the newest are in it.
    """

    window: timedelta
    looked_at: int
    cut: bool
    groups: list[FailureGroup]


def report(
    transaction: Transaction,
    window: timedelta,
    *,
    queue: str | None = None,
    name: str | None = None,
    fingerprint: str | None = None,
    sample: int = SAMPLE,
) -> FailureReport:
    """Group the newest *sample* attempts that failed within *window*.

    *queue*, *name* and *fingerprint* choose among them, so of a rare failure little may be seen.
    Attempts whose tasks were purged are left out.
    """
    rows = _newest(transaction, window, sample)
    owners = _owners(transaction, {row.task_id for row in rows})
    runs = [
        FailedRun(
            task=row.task_id,
            name=owner.task_name,
            queue=owner.queue_name,
            error_type=row.error_type,
            message=row.message,
            failed_at=row.failed_at,
            dead=owner.dead,
        )
        for row in rows
        if (owner := owners.get(row.task_id)) is not None
        and (queue is None or owner.queue_name == queue)
        and (name is None or owner.task_name == name)
    ]
    groups = [one for one in grouped(runs) if fingerprint in (None, one.fingerprint)]
    return FailureReport(window=window, looked_at=len(rows), cut=len(rows) >= sample, groups=groups)


def dead(transaction: Transaction, *, sample: int) -> list[FailureGroup]:
    """The newest *sample* dead tasks, in groups by what each died of at last."""
    rows = transaction.connection.execute(
        select(
            dead_letters.c.id,
            dead_letters.c.task_name,
            dead_letters.c.queue_name,
            func.substr(dead_letters.c.error_message, 1, 4 * LONGEST).label("message"),
            dead_letters.c.reason,
            dead_letters.c.failed_at,
        )
        .order_by(dead_letters.c.failed_at.desc())
        .limit(sample)
    )
    runs = []
    for row in rows:
        # As a failure is written: its type, a colon, and what it said.
        error_type, _, message = (row.message or row.reason or "").strip().partition(": ")
        runs.append(
            FailedRun(
                task=row.id,
                name=row.task_name,
                queue=row.queue_name,
                error_type=error_type,
                message=message,
                failed_at=row.failed_at,
                dead=True,
            )
        )
    return grouped(runs)


def _newest(transaction: Transaction, window: timedelta, sample: int) -> Sequence[Any]:
    return transaction.connection.execute(
        select(
            attempts.c.task_id,
            attempts.c.error_type,
            # A message may have lines and be long: a few hundred characters tell it apart.
            func.substr(attempts.c.error_message, 1, 4 * LONGEST).label("message"),
            attempts.c.failed_at,
        )
        .where(attempts.c.failed_at > sql.later(-window.total_seconds()))
        .order_by(attempts.c.failed_at.desc())
        .limit(sample)
    ).all()


def _owners(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, Any]:
    """The names and queues of tasks, wherever they are kept: by their keys, so never a scan."""
    found: dict[UUID, Any] = {}
    left = list(ids)
    for table in (dead_letters, tasks, archive):
        dead = sql.integer(int(table is dead_letters)).label("dead")
        query = select(table.c.id, table.c.task_name, table.c.queue_name, dead)
        for chunk in chunks(left):
            rows = transaction.connection.execute(query.where(table.c.id.in_(chunk)))
            found |= {row.id: row for row in rows}
        left = [task_id for task_id in left if task_id not in found]
    return found
