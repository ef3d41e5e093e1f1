"""Oban for Python: a queue with a high limit, which is also how many it fetches at once; uvloop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from oban import job
from oban.oban import Oban
from oban.schema import install
from program import Answer, Record, asked, program, timed_fill, timed_pings, timed_single

LIMIT = 1000
record = Record()


@job(queue="default")
async def nothing(number: int) -> None:
    """Count it."""
    record.nothing()


@job(queue="default")
async def started(number: int) -> None:
    """Note when it started."""
    record.start(number)


@asynccontextmanager
async def oban(url: str, queues: dict[str, int] | None = None) -> AsyncIterator[Oban]:
    """An instance that enqueues, and works if it has queues."""
    pool = await Oban.create_pool(dsn=url)
    try:
        async with Oban(pool=pool, queues=queues) as instance:
            yield instance
    finally:
        await pool.close()


async def prepare(url: str, _: int) -> None:
    """Install its tables."""
    pool = await Oban.create_pool(dsn=url)
    await install(pool)
    await pool.close()


async def fill(url: str, tasks: int) -> Answer:
    """Enqueue many by each call."""
    async with oban(url) as instance:
        return await timed_fill(
            tasks, lambda numbers: instance.enqueue_many(nothing.new(number) for number in numbers)
        )


async def single(url: str, seconds: int) -> Answer:
    """Enqueue one by one."""
    async with oban(url) as instance:
        return await timed_single(seconds, lambda number: instance.enqueue(nothing.new(number)))


async def ping(url: str, tasks: int) -> Answer:
    """Enqueue one by one into an idle worker."""
    async with oban(url) as instance:
        return await timed_pings(tasks, lambda number: instance.enqueue(started.new(number)))


async def work(url: str, _: int) -> Answer:
    """Work until asked to end."""
    stop = asked()
    async with oban(url, {"default": LIMIT}):
        await stop.wait()
    return record.told()


if __name__ == "__main__":
    roles = {"prepare": prepare, "fill": fill, "single": single, "ping": ping, "work": work}
    program(roles, uvloop.run)
