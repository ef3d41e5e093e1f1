"""How fast one worker process, with default settings, runs tasks that wait."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select

from bench import worker
from bench.figures import Figures
from bench.tasks import app, nothing, use
from celers_worker.store import make_direct_store
from celers_worker.store.schema import archive
from celers_worker.store.transaction import Transaction


def drain(url: str, tasks: int) -> Figures:
    """Enqueue *tasks* that do nothing, then run a worker until nothing is due.

    A worker that finds nothing tells what starting and stopping cost; that is no task's.
    """
    idle = worker.drain(url)
    use(url)
    asyncio.run(_enqueue(tasks))
    cost = worker.drain(url)
    with make_direct_store(url) as store:
        done, seconds = store.run(_span)
    if done != tasks:
        raise worker.WorkerFailed(f"The worker completed {done:,} of {tasks:,} tasks.")
    return {
        "drain": tasks / seconds,
        "drain, with start and stop": tasks / cost.wall_seconds,
        "worker start and stop": idle.wall_seconds,
        "worker CPU per task": (cost.cpu_seconds - idle.cpu_seconds) / tasks * 1e6,
        "worker memory, peak": cost.peak_bytes / 1e6,
        "worker memory, idle": idle.peak_bytes / 1e6,
    }


async def _enqueue(tasks: int) -> None:
    await app.enqueue_many(nothing.call(number=number) for number in range(tasks))
    await app.close()


def _span(transaction: Transaction) -> tuple[int, float]:
    """How many tasks completed, and the time from the first claim to the last settle."""
    row = transaction.connection.execute(
        select(func.count(), func.min(archive.c.started_at), func.max(archive.c.completed_at))
    ).one()
    return row[0], (row[2] - row[1]).total_seconds() if row[0] else 0.0
