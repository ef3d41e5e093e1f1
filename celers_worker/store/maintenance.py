"""Leases of workers, and the tasks of lost ones. Each function is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from celers_worker.core.orders import Limits, Orders, WorkerState
from celers_worker.core.outcome import Dead, is_suspect, outcome_of_crash, worker_lost
from celers_worker.core.task import Task
from celers_worker.store import lease_statements, orders, statements
from celers_worker.store.attempt import FailedAttempt
from celers_worker.store.transaction import Transaction
from celers_worker.store.values import chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCard:
    """What a worker says of itself; ``orders``: what it was told to do under an earlier id.

    One that ``isolates`` marks each suspect before it begins: see ``mark_suspect``.
    """

    id: str
    name: str
    host: str
    pid: int
    version: str
    queues: Sequence[str]
    handlers: Sequence[str]
    concurrency: int
    limits: Limits = field(default_factory=Limits)
    state: str = WorkerState.RUNNING
    orders: Orders = field(default_factory=Orders)
    isolates: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """What the database says of a task that a worker believes to run."""

    lease: int
    cancel_reason: str | None


@dataclass(frozen=True, slots=True)
class Reaped:
    """Tasks taken back from lost workers."""

    released: Sequence[UUID]
    buried: Sequence[UUID]
    more: bool


#: A foreign worker renews no lease and may leave no name: after so long its task is taken back.
STUCK = timedelta(hours=1)


# --- leases ---


def register(transaction: Transaction, card: WorkerCard, lease: timedelta) -> None:
    """Add the worker's row; from now on its leases live."""
    transaction.connection.execute(
        lease_statements.REGISTER_WORKER,
        {
            "worker": card.id,
            "label": card.name,
            "on_host": card.host,
            "process": card.pid,
            "of_version": card.version,
            "serves": list(card.queues),
            "knows": list(card.handlers),
            "permits": card.concurrency,
            "limited": asdict(card.limits),
            "in_state": str(card.state),
            "begun": 0 if card.isolates else None,
            "told_state": card.orders.state and card.orders.state.value,
            "told_concurrency": card.orders.concurrency,
            "told_by": card.orders.by,
            "lease_seconds": lease.total_seconds(),
        },
    )


def renew(
    transaction: Transaction,
    worker: str,
    lease: timedelta,
    *,
    running: int | None = None,
    state: str | None = None,
) -> Orders | None:
    """Renew the worker's lease; None if it had run out, and then it stays so.

    What comes back is what operators have asked of the worker, and the handlers that are held.
    """
    rows = transaction.renew(
        {
            "worker": worker,
            "lease_seconds": lease.total_seconds(),
            "runs": running,
            "in_state": state,
        }
    )
    return orders.read(rows) if rows else None


def mark_suspect(transaction: Transaction, worker: str, task: Task) -> bool:
    """Take down that *worker* begins *task*, whose next crash may bury it; False: too late.

    The other suspects that it holds when it dies had not begun: they cannot have killed it.
    """
    marked = transaction.connection.execute(
        lease_statements.MARK_SUSPECT,
        {"worker": worker, "task_id": task.id, "begun": task.lease},
    )
    return bool(marked.rowcount)


def publish(transaction: Transaction, card: WorkerCard) -> None:
    """Let the worker's row say its concurrency and its limits as they are now."""
    transaction.connection.execute(
        lease_statements.PUBLISH_LIMITS,
        {"worker": card.id, "permits": card.concurrency, "limited": asdict(card.limits)},
    )


def deregister(transaction: Transaction, worker: str) -> None:
    """Remove the worker's row, when it holds no task any more."""
    transaction.connection.execute(lease_statements.DEREGISTER_WORKER, {"worker": worker})


def note_end(transaction: Transaction, worker: str, how: str) -> None:
    """Take down *how* a worker ended that is known to be gone: its lease ends with it."""
    transaction.connection.execute(lease_statements.NOTE_END, {"worker": worker, "how": how[:255]})


def leases(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, Lease]:
    """What the database says of the tasks with these *ids*; those that ended are left out."""
    return {
        row.id: Lease(
            row.lease,
            None if row.cancel_requested_at is None else row.cancel_reason or "cancelled",
        )
        for chunk in chunks(list(ids))
        for row in transaction.connection.execute(lease_statements.LEASES, {"ids": chunk})
    }


def recover(transaction: Transaction, worker: str, known: Iterable[UUID]) -> int:
    """Give back what *worker* holds but does not know of: claims whose answer was lost.

    Only for the worker itself, while it has no claim under way. No attempt is counted.
    """
    kept = set(known)
    rows = transaction.connection.execute(lease_statements.TASKS_OF_WORKER, {"worker": worker})
    lost = [row.id for row in rows if row.id not in kept]
    if lost:
        transaction.connection.execute(
            statements.RELEASE,
            [{"task_id": task_id, "wait": None, "message": None} for task_id in lost],
        )
    return len(lost)


# --- tasks of lost workers ---


def reap(
    transaction: Transaction,
    *,
    max_crashes: int,
    orphans: bool = False,
    stuck: timedelta = STUCK,
    limit: int = 500,
) -> Reaped:
    """Take back up to *limit* tasks of workers whose leases ran out, or bury them as poison.

    *orphans* looks through every task that is processing, also for those whose worker's row is
    gone, and for those that have been running for longer than *stuck* without naming a worker. The
    rows are locked and the absence of a live worker is part of the same statement, and a lease that
    ran out is never renewed: no task of a live worker is ever touched.
    """
    lost = list(transaction.connection.execute(lease_statements.LOST_WORKERS).scalars())
    rows: Sequence[Any] = ()
    if orphans:
        rows = transaction.connection.execute(
            lease_statements.ORPHANS, {"room": limit, "stuck": -stuck.total_seconds()}
        ).all()
    elif lost:
        rows = transaction.connection.execute(
            lease_statements.ORPHANS_OF, {"lost": lost, "room": limit}
        ).all()
    released, buried = _take_back(transaction, rows, max_crashes)
    if lost and len(rows) < limit:
        let_go = transaction.connection.execute(
            lease_statements.LOST_WORKERS_LET_GO, {"lost": lost}
        )
        for worker in let_go.scalars().all():
            transaction.connection.execute(lease_statements.MARK_LOST, {"worker": worker})
    return Reaped(released, buried, more=len(rows) == limit)


def _take_back(
    transaction: Transaction, rows: Sequence[Any], max_crashes: int
) -> tuple[list[UUID], list[UUID]]:
    released: list[dict[str, Any]] = []
    buried: list[UUID] = []
    failed: list[FailedAttempt] = []
    unbegun: list[dict[str, Any]] = []
    ends = _ends(transaction, {str(row.worker_id) for row in rows})
    for row in rows:
        # A reason without a request: a newer task with its unique key has replaced it.
        if row.cancel_requested_at is not None or row.cancel_reason is not None:
            transaction.archive_cancelled([row.id], row.cancel_reason or "cancelled")
            continue
        end = ends.get(str(row.worker_id))
        if is_suspect(row.crash_count, max_crashes) and end is not None and end.spares(row):
            unbegun.append({"task_id": row.id, "wait": None, "message": None})
            continue
        how = None if end is None else end.how
        outcome = outcome_of_crash(
            retry_count=row.retry_count,
            crash_count=row.crash_count,
            max_retries=row.max_retries,
            max_crashes=max_crashes,
            worker=str(row.worker_id),
            how=how,
        )
        failure = worker_lost(str(row.worker_id), how)
        number = row.retry_count + row.crash_count + 1
        failed.append(
            FailedAttempt(row.id, row.lease, number, row.worker_id, row.started_at, failure)
        )
        if isinstance(outcome, Dead):
            transaction.bury([row.id], reason=outcome.reason, message=str(failure), crashed=1)
            buried.append(row.id)
        else:
            released.append({"task_id": row.id, "message": str(failure)})
    if released:
        transaction.connection.execute(statements.RELEASE_CRASHED, released)
    if unbegun:
        transaction.connection.execute(statements.RELEASE, unbegun)
    transaction.record_attempts(failed)
    return [row["task_id"] for row in (*released, *unbegun)], buried


@dataclass(frozen=True, slots=True)
class _End:
    """How a worker ended, if somebody saw it, and which suspect it had begun last."""

    how: str | None
    suspect_id: UUID | None
    suspect_lease: int | None

    def spares(self, row: Any) -> bool:
        """Whether this suspect had not begun. Who never says so may have begun all it held."""
        mark = (self.suspect_id, self.suspect_lease)
        return self.suspect_lease is not None and mark != (row.id, row.lease)


def _ends(transaction: Transaction, workers: set[str]) -> dict[str, _End]:
    if not workers:
        return {}
    rows = transaction.connection.execute(lease_statements.ENDS, {"gone": sorted(workers)})
    return {row.id: _End(row.ended_by, row.suspect_id, row.suspect_lease) for row in rows}


def count_orphans(transaction: Transaction, *, stuck: timedelta = STUCK) -> int:
    """How many tasks ``reap`` would take back now, the orphans among them."""
    values = {"stuck": -stuck.total_seconds()}
    return int(transaction.connection.execute(lease_statements.COUNT_ORPHANS, values).scalar_one())
