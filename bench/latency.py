"""How soon an idle worker starts a task."""

from __future__ import annotations

import asyncio
import random
import time
from statistics import quantiles
from uuid import UUID

from sqlalchemy import func, select

from bench import worker
from bench.database import NewDatabase
from bench.figures import Figures
from bench.tasks import app, started, use
from celers_worker.core.payload import decode
from celers_worker.store import make_direct_store
from celers_worker.store.schema import results
from celers_worker.store.transaction import Transaction

#: Seconds between two tasks: the worker is idle again, and never in step with us.
GAPS = (0.02, 0.12)
#: Tasks for one run; a fraction of those of the other scenarios, for each waits for its gap.
SAMPLES = 300
SETTLED_WITHIN = 30.0


def latency(new_database: NewDatabase, tasks: int) -> Figures:
    """Enqueue single tasks into an idle worker, with random gaps.

    From the call of ``enqueue``, which includes the producer's commit, and from its return.
    """
    samples = min(SAMPLES, tasks)
    with new_database() as database, worker.worker(database.url) as process:
        use(database.url)
        process.await_ready()
        sent = asyncio.run(_send(samples))
        began = _await_results(database.url, samples)
        process.stop()
        process.cost()
    called = [(began[task_id] - call) * 1e3 for task_id, (call, _) in sent.items()]
    returned = [(began[task_id] - back) * 1e3 for task_id, (_, back) in sent.items()]
    return {**_percentiles("enqueue to start", called), **_percentiles("commit to start", returned)}


async def _send(samples: int) -> dict[UUID, tuple[float, float]]:
    """When each task's enqueue was called and when it returned."""
    await app.client.store()  # connects
    sent = {}
    for _ in range(samples):
        await asyncio.sleep(random.uniform(*GAPS))
        call = time.monotonic()
        task = await started.enqueue()
        sent[task.id] = (call, time.monotonic())
    await app.close()
    return sent


def _await_results(url: str, samples: int) -> dict[UUID, float]:
    """When each task started, by its own result."""
    deadline = time.monotonic() + SETTLED_WITHIN
    with make_direct_store(url) as store:
        while store.run(_count) < samples:
            if time.monotonic() > deadline:
                raise worker.WorkerFailed(f"{store.run(_count)} of {samples} tasks completed.")
            time.sleep(0.05)
        return store.run(_results)


def _count(transaction: Transaction) -> int:
    query = select(func.count()).select_from(results)
    return int(transaction.connection.execute(query).scalar_one())


def _results(transaction: Transaction) -> dict[UUID, float]:
    rows = transaction.connection.execute(select(results.c.task_id, results.c.result))
    return {task_id: decode(value) for task_id, value in rows}


def _percentiles(name: str, milliseconds: list[float]) -> Figures:
    cuts = quantiles(milliseconds, n=100, method="inclusive")
    return {f"{name}, p{percent}": cuts[percent - 1] for percent in (50, 95, 99)}
