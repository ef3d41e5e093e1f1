"""How large a worker is, and whether it grows."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import func, select

from bench import worker
from bench.database import NewDatabase
from bench.figures import Figures
from bench.tasks import app, nothing, use
from celers_worker.store import DirectStore, make_direct_store
from celers_worker.store.schema import tasks as live
from celers_worker.store.transaction import Transaction

#: As many times the tasks of other scenarios; by the first part the worker has grown up.
TIMES, YOUTH = 10, 0.2
#: Tasks that are added at once, and seconds until a new worker has settled down.
CHUNK, SETTLING = 5_000, 3.0
PATIENCE = 120.0
PER = 100_000


def memory(new_database: NewDatabase, tasks: int) -> Figures:
    """Let tasks stream through a worker, never many at once, and look at its size meanwhile.

    The growth is the slope of the line through the sizes after its first fifth.
    """
    with (
        new_database() as database,
        make_direct_store(database.url) as store,
        worker.worker(database.url) as process,
    ):
        process.await_ready()
        time.sleep(SETTLING)
        idle = process.resident_bytes
        use(database.url)
        sizes = asyncio.run(_stream(store, process, TIMES * tasks))
        process.stop()
        process.cost()
    grown = [(done, size) for done, size in sizes if done >= YOUTH * TIMES * tasks]
    return {
        "worker memory, idle": idle / 2**20,
        f"worker memory, after {TIMES * tasks:,} tasks": sizes[-1][1] / 2**20,
        "worker growth": _slope(grown) * PER / 2**20,
    }


async def _stream(
    store: DirectStore, process: worker.WorkerProcess, tasks: int
) -> list[tuple[int, int]]:
    """Add *tasks*; after each chunk, how many are done, and the worker's size."""
    sizes = []
    for start in range(0, tasks, CHUNK):
        await app.enqueue_many(
            nothing.call(number=number) for number in range(start, start + CHUNK)
        )
        waiting = await _settled(store, at_most=CHUNK)
        sizes.append((start + CHUNK - waiting, process.resident_bytes))
    await _settled(store, at_most=0)
    await app.close()
    return [*sizes, (tasks, process.resident_bytes)]


async def _settled(store: DirectStore, *, at_most: int) -> int:
    """Wait until no more than that many are left, and return how many."""
    deadline = time.monotonic() + PATIENCE
    while (left := store.run(_left)) > at_most:
        if time.monotonic() > deadline:
            raise worker.WorkerFailed(f"{left:,} tasks were not run within {PATIENCE:g} s.")
        await asyncio.sleep(0.02)
    return left


def _left(transaction: Transaction) -> int:
    query = select(func.count()).select_from(live)
    return int(transaction.connection.execute(query).scalar_one())


def _slope(points: list[tuple[int, int]]) -> float:
    """Of the line nearest to the points, by least squares."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
