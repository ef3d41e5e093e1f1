"""Ours: the application of ``bench.tasks``. Its worker is ``celers worker``, as users start it."""

from __future__ import annotations

import asyncio
import time

import uvloop
from program import Answer, program, timed_fill, timed_pings, timed_single
from sqlalchemy import func, select

from bench.tasks import app, nothing, started, use
from celers_worker.core.payload import decode
from celers_worker.store import make_direct_store, migrate
from celers_worker.store.schema import results
from celers_worker.store.transaction import Transaction

#: Seconds between two looks whether the worker is done.
LOOK = 0.1


async def prepare(url: str, _: int) -> None:
    """Create our tables."""
    await asyncio.to_thread(_migrate, url)


async def fill(url: str, tasks: int) -> Answer:
    """Enqueue many by each call."""
    use(url)
    await app.client.store()  # connects
    answer = await timed_fill(
        tasks,
        lambda numbers: app.enqueue_many(nothing.call(number=number) for number in numbers),
        bulk=tasks,  # it commits each thousand by itself
    )
    await app.close()
    return answer


async def single(url: str, seconds: int) -> Answer:
    """Enqueue one by one."""
    use(url)
    answer = await timed_single(seconds, lambda number: nothing.enqueue(number=number))
    await app.close()
    return answer


async def ping(url: str, tasks: int) -> Answer:
    """Enqueue one by one into an idle worker. When each started is its task's result."""
    use(url)
    await app.client.store()
    ids = {}

    async def add(number: int) -> None:
        ids[(await started.enqueue()).id] = number

    called = await timed_pings(tasks, add)
    await app.close()
    seconds = await asyncio.to_thread(_await_results, url, tasks)
    return {**called, "started": {ids[key]: value * 1e9 for key, value in seconds.items()}}


def _migrate(url: str) -> None:
    with make_direct_store(url) as store:
        migrate.upgrade(store)


def _await_results(url: str, tasks: int) -> dict[object, float]:
    with make_direct_store(url) as store:
        while store.run(_count) < tasks:
            time.sleep(LOOK)
        return store.run(_results)


def _count(transaction: Transaction) -> int:
    query = select(func.count()).select_from(results)
    return int(transaction.connection.execute(query).scalar_one())


def _results(transaction: Transaction) -> dict[object, float]:
    rows = transaction.connection.execute(select(results.c.task_id, results.c.result))
    return {task_id: decode(value) for task_id, value in rows}


if __name__ == "__main__":
    program({"prepare": prepare, "fill": fill, "single": single, "ping": ping}, uvloop.run)
