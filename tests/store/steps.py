"""The steps of a task's life, as the tests take them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update

from celers_worker.core.outcome import Completed, Dead, Failure, Outcome, Retry, Settlement
from celers_worker.core.task import Demand, NewTask, Task
from celers_worker.store import Store, sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.maintenance import WorkerCard, register
from celers_worker.store.schema import tasks, workers
from celers_worker.store.transaction import Transaction

WORKER = "worker-1"
LEASE = timedelta(seconds=30)
FAILURE = Failure("ValueError", "no such user", "Traceback …\nValueError: no such user")
BROKEN = Retry(timedelta(0), FAILURE)
GONE_WRONG = Dead("gave up", FAILURE)
DONE = Completed()


def new_task(**changes: Any) -> NewTask:
    """A plain task, due at once, with *changes*."""
    return NewTask(**{"name": "send", "payload": b"{}"} | changes)


def new_tasks(count: int, **changes: Any) -> list[NewTask]:
    return [new_task(**changes) for _ in range(count)]


def any_queue(total: int, **changes: Any) -> Demand:
    """Room for *total* tasks of whatever queue."""
    return Demand(**{"total": total, "others": total} | changes)


async def claim_all(store: Store, worker: str = WORKER, demand: Demand | None = None) -> list[Task]:
    """Claim until nothing comes; the tasks in the order they came."""
    claimed: list[Task] = []
    while batch := await store.claim(worker, demand or any_queue(1_000)):
        claimed += batch
    return claimed


async def claim_one(store: Store, worker: str = WORKER) -> Task:
    """Claim the only task there is."""
    [task] = await store.claim(worker, any_queue(10))
    return task


async def enqueue_and_claim(store: Store, worker: str = WORKER, **changes: Any) -> Task:
    """A task that *worker* runs."""
    await store.enqueue([new_task(**changes)])
    return await claim_one(store, worker)


async def settle(store: Store, task: Task, outcome: Outcome = DONE, worker: str = WORKER) -> bool:
    """Settle one task; whether it was written."""
    return task.id in await store.settle(worker, [Settlement(task, outcome)])


async def bury(store: Store, **changes: Any) -> Task:
    """A dead task."""
    task = await enqueue_and_claim(store, **changes)
    assert await settle(store, task, GONE_WRONG)
    return task


def worker_card(worker: str = WORKER, **changes: Any) -> WorkerCard:
    described: dict[str, Any] = {
        "id": worker,
        "name": "mail-1",
        "host": "host-1",
        "pid": 4711,
        "version": "1.0",
        "queues": ["default"],
        "handlers": ["send"],
        "concurrency": 8,
    }
    return WorkerCard(**described | changes)


async def start_worker(
    store: Store, worker: str = WORKER, lease: timedelta = LEASE, **changes: Any
) -> str:
    await store.run(register, worker_card(worker, **changes), lease)
    return worker


async def lose_worker(store: Store, worker: str = WORKER) -> None:
    """Let the worker's lease run out."""

    def lapse(transaction: Transaction) -> None:
        transaction.connection.execute(
            update(workers).where(workers.c.id == worker).values(expires_at=sql.later(-1))
        )

    await store.run(lapse)


async def lost_task(store: Store, **changes: Any) -> Task:
    """A task whose worker's lease ran out while it ran."""
    await start_worker(store)
    task = await enqueue_and_claim(store, **changes)
    await lose_worker(store)
    return task


async def change_task(store: Store, task_id: UUID, **values: Any) -> None:
    """Change a live task's row, as no code of ours would."""

    def change(transaction: Transaction) -> None:
        transaction.connection.execute(update(tasks).where(tasks.c.id == task_id).values(**values))

    await store.run(change)


def live_rows(direct: DirectStore) -> list[Any]:
    """The hot table, in the order of ids."""
    return direct.run(
        lambda transaction: transaction.connection.execute(select(tasks).order_by(tasks.c.id)).all()
    )


def live_row(direct: DirectStore, task_id: UUID) -> Any:
    [row] = [row for row in live_rows(direct) if row.id == task_id]
    return row


def execute(direct: DirectStore, statement: str, **values: Any) -> Any:
    """Run raw SQL in a transaction of its own; the rows, if it has any."""

    def run(transaction: Transaction) -> Any:
        answer = transaction.connection.execute(text(statement), values)
        return answer.all() if answer.returns_rows else None

    return direct.run(run)


def ids(items: Iterable[Any]) -> list[UUID]:
    return [item.id for item in items]
