"""What a person asks for: cancel, retry, pause, purge, requeue. Each function is one transaction.

Long work comes in batches: a function handles up to ``limit`` tasks and says how many it did, so
that its caller can go on, show progress and be interrupted between two commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, null, select, update

from celers_worker.core.errors import CelersError
from celers_worker.core.task import TaskState
from celers_worker.store import sql, statements
from celers_worker.store.inspect import TaskFilter, conditions
from celers_worker.store.schema import TASK_COLUMNS, archive, dead_letters, queues, results, tasks
from celers_worker.store.transaction import Transaction
from celers_worker.store.workflow import progress, reopening

#: What can be cancelled without asking a worker.
_WAITING = (TaskState.BLOCKED, TaskState.PENDING)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Tasks that are cancelled now, and running ones whose workers have been asked."""

    cancelled: Sequence[UUID]
    requested: Sequence[UUID]

    @property
    def any(self) -> bool:
        """Whether there was anything to cancel."""
        return bool(self.cancelled or self.requested)


@dataclass(frozen=True, slots=True)
class Requeued:
    """Tasks that are pending again, and those whose unique key a live task has meanwhile."""

    ids: Sequence[UUID]
    conflicts: Sequence[UUID]


def cancel(
    transaction: Transaction, wanted: TaskFilter, reason: str, *, limit: int = 500
) -> Cancellation:
    """Cancel live tasks. A running one is asked to stop; a finished one is left alone."""
    if wanted.ids:
        progress.lock(transaction, wanted.ids)  # before the tasks, as everywhere
    rows = transaction.connection.execute(
        select(tasks.c.id, tasks.c.state)
        .where(*conditions(tasks, wanted), tasks.c.cancel_requested_at.is_(None))
        .order_by(tasks.c.id)
        .limit(limit)
        .with_for_update()
    ).all()
    waiting = [row.id for row in rows if row.state in _WAITING]
    running = [row.id for row in rows if row.state == TaskState.PROCESSING]
    transaction.archive_cancelled(waiting, reason)
    if running:
        transaction.connection.execute(
            update(tasks)
            .where(tasks.c.id.in_(running))
            .values(cancel_requested_at=sql.now(), cancel_reason=reason[:255])
        )
        transaction.nudge()
    return Cancellation(waiting, running)


def retry(transaction: Transaction, task_id: UUID) -> TaskState | None:
    """Make a task due now and return the state it was in; None: no such task.

    A dead, cancelled or expired task starts anew, with all its attempts. One that waits is due at
    once. One that runs or has completed is left alone. Raises CelersError if a live task has its
    unique key.
    """
    waiting = transaction.connection.execute(
        select(tasks.c.state, tasks.c.queue_name).where(tasks.c.id == task_id).with_for_update()
    ).first()
    if waiting is not None:
        if waiting.state == TaskState.PENDING:
            transaction.connection.execute(
                update(tasks).where(tasks.c.id == task_id).values(scheduled_at=sql.now())
            )
            transaction.announce([waiting.queue_name])
        return TaskState(waiting.state)
    for source in (dead_letters, archive):
        ended = transaction.connection.execute(
            select(source.c.state, source.c.unique_key)
            .where(source.c.id == task_id)
            .with_for_update()
        ).first()
        if ended is None:
            continue
        completed = ended.state == TaskState.COMPLETED
        if not completed and not _revive(transaction, source, [task_id], timedelta(0)):
            raise CelersError(
                f"task {task_id} stays {ended.state}: a live task has its unique key "
                f"{ended.unique_key!r}. Let that one end, or cancel it."
            )
        return TaskState(ended.state)
    return None


def requeue(
    transaction: Transaction,
    wanted: TaskFilter,
    *,
    delay: timedelta = timedelta(0),
    limit: int = 500,
    after: UUID | None = None,
) -> Requeued:
    """Move dead tasks back to pending, each exactly once however many people ask.

    A task keeps its id, priority, queue and max_retries; its attempts start anew, their history
    stays. *after* leaves out the ids up to this one: those that conflict would be met for ever.
    """
    met = [] if after is None else [dead_letters.c.id > after]
    ids = _locked(transaction, dead_letters, [*conditions(dead_letters, wanted), *met], limit)
    done = _revive(transaction, dead_letters, ids, delay)
    return Requeued(done, [task_id for task_id in ids if task_id not in done])


def purge_dead(transaction: Transaction, wanted: TaskFilter, *, limit: int = 500) -> int:
    """Delete dead tasks for good."""
    ids = _locked(transaction, dead_letters, conditions(dead_letters, wanted), limit)
    if ids:
        transaction.connection.execute(delete(dead_letters).where(dead_letters.c.id.in_(ids)))
        transaction.connection.execute(delete(results).where(results.c.task_id.in_(ids)))
    return len(ids)


def purge_queue(transaction: Transaction, queue: str, *, limit: int = 500) -> int:
    """Cancel the waiting tasks of a queue; those that run are left to end."""
    wanted = TaskFilter(queue=queue, states=_WAITING)
    ids = _locked(transaction, tasks, conditions(tasks, wanted), limit)
    transaction.archive_cancelled(ids, "purged")
    return len(ids)


def pause(transaction: Transaction, queue: str, reason: str | None) -> None:
    """Stop every worker from claiming tasks of *queue*, from its next claim on."""
    transaction.connection.execute(
        sql.insert_ignore(queues).values(name=bindparam("of_queue")), {"of_queue": queue}
    )
    transaction.connection.execute(
        update(queues)
        .where(queues.c.name == queue)
        .values(
            paused_at=func.coalesce(queues.c.paused_at, sql.now()),
            paused_reason=reason[:255] if reason else None,
        )
    )


def resume(transaction: Transaction, queue: str) -> bool:
    """Let workers claim tasks of *queue* again; False if it was not paused."""
    resumed = transaction.connection.execute(
        update(queues)
        .where(queues.c.name == queue, queues.c.paused_at.is_not(None))
        .values(paused_at=None, paused_reason=None)
    )
    transaction.announce([queue])
    return resumed.rowcount > 0


def _locked(transaction: Transaction, table: Any, wanted: Sequence[Any], limit: int) -> list[UUID]:
    # SKIP LOCKED: what another person is at is theirs.
    query = select(table.c.id).where(*wanted).order_by(table.c.id).limit(limit)
    return list(transaction.connection.execute(query.with_for_update(skip_locked=True)).scalars())


def _revive(
    transaction: Transaction, source: Any, ids: Sequence[UUID], delay: timedelta
) -> list[UUID]:
    """Make tasks of *source* pending, and open their workflows; the caller has locked the rows."""
    done = move_back(transaction, source, ids, delay)
    reopening.reopen(transaction, done, move_back)
    return done


def move_back(
    transaction: Transaction, source: Any, ids: Sequence[UUID], delay: timedelta
) -> list[UUID]:
    """Move rows of *source* back to the live tasks and return the ids that are live now."""
    if not ids:
        return []
    values = {
        "state": statements.PENDING,
        "retry_count": sql.integer(0),
        "crash_count": sql.integer(0),
        "scheduled_at": sql.later(delay.total_seconds()),
        "started_at": null(),
        "completed_at": null(),
        "worker_id": null(),
        # It rises here too, so that nothing from an earlier life can settle this one.
        "lease": source.c.lease + 1,
        "expires_at": null(),
        "cancel_requested_at": null(),
        "cancel_reason": null(),
    }
    columns = [values.get(name, source.c[name]) for name in TASK_COLUMNS]
    transaction.connection.execute(
        sql.insert_ignore(tasks).from_select(
            TASK_COLUMNS, select(*columns).where(source.c.id.in_(ids)), include_defaults=False
        )
    )
    revived = select(tasks.c.id, tasks.c.queue_name).where(tasks.c.id.in_(ids))
    rows = transaction.connection.execute(revived).all()
    done = [row.id for row in rows]
    transaction.connection.execute(delete(source).where(source.c.id.in_(done)))
    transaction.connection.execute(delete(results).where(results.c.task_id.in_(done)))
    transaction.announce({row.queue_name for row in rows})
    return done
