"""How fast tasks are added: many at once, and one by one."""

from __future__ import annotations

import asyncio
import time

from bench.database import NewDatabase
from bench.figures import Figures
from bench.tasks import app, nothing, use
from celers_worker.app.declared import DeclaredTask

#: Single tasks are added for so long, in seconds.
SPAN = 3.0
CLIENTS = 8


def enqueue_many(new_database: NewDatabase, tasks: int) -> Figures:
    """Add *tasks* by one call of ``enqueue_many``, which commits each thousand."""
    with new_database() as database:
        use(database.url)
        return {"enqueue_many": tasks / asyncio.run(_add_many(tasks))}


def enqueue_one(new_database: NewDatabase, tasks: int) -> Figures:
    """Add single tasks for a while; each call returns when its task is on the disk."""
    with new_database() as database:
        use(database.url)
        return {
            "enqueue": asyncio.run(add_singly(1)),
            f"enqueue, {CLIENTS} at a time": asyncio.run(add_singly(CLIENTS)),
            "enqueue_sync": _add_synchronously(),
        }


async def _add_many(tasks: int) -> float:
    await nothing.enqueue(number=-1)  # connects
    began = time.perf_counter()
    await app.enqueue_many(nothing.call(number=number) for number in range(tasks))
    seconds = time.perf_counter() - began
    await app.close()
    return seconds


async def add_singly(clients: int, task: DeclaredTask[..., None] = nothing) -> float:
    """Tasks a second, of so many clients that each wait for their last one."""
    await task.enqueue(number=-1)
    began = time.perf_counter()

    async def add() -> int:
        added = 0
        while time.perf_counter() - began < SPAN:
            await task.enqueue(number=added)
            added += 1
        return added

    counts = await asyncio.gather(*(add() for _ in range(clients)))
    seconds = time.perf_counter() - began
    await app.close()
    return sum(counts) / seconds


def _add_synchronously() -> float:
    nothing.enqueue_sync(number=-1)
    began = time.perf_counter()
    added = 0
    while time.perf_counter() - began < SPAN:
        nothing.enqueue_sync(number=added)
        added += 1
    seconds = time.perf_counter() - began
    app.close_sync()
    return added / seconds
