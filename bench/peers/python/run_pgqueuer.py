"""PgQueuer: asyncpg, uvloop, large batches, the autovacuum settings it recommends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from program import Answer, Record, asked, program, timed_fill, timed_pings, timed_single

BATCH = 1000


@asynccontextmanager
async def driver(url: str) -> AsyncIterator[AsyncpgDriver]:
    """One connection."""
    connection = await asyncpg.connect(url)
    try:
        yield AsyncpgDriver(connection)
    finally:
        await connection.close()


async def prepare(url: str, _: int) -> None:
    """Install its tables."""
    async with driver(url) as connected:
        queries = Queries(connected)
        await queries.install()
        await queries.optimize_autovacuum()


async def fill(url: str, tasks: int) -> Answer:
    """Enqueue by arrays."""
    async with driver(url) as connected:
        queries = Queries(connected)
        return await timed_fill(
            tasks,
            lambda numbers: queries.enqueue(
                ["nothing"] * len(numbers),
                [json.dumps({"number": number}).encode() for number in numbers],
                [0] * len(numbers),
            ),
        )


async def single(url: str, seconds: int) -> Answer:
    """Enqueue one by one."""
    async with driver(url) as connected:
        queries = Queries(connected)
        return await timed_single(
            seconds,
            lambda number: queries.enqueue("nothing", json.dumps({"number": number}).encode()),
        )


async def ping(url: str, tasks: int) -> Answer:
    """Enqueue one by one into an idle worker."""
    async with driver(url) as connected:
        queries = Queries(connected)
        return await timed_pings(
            tasks,
            lambda number: queries.enqueue("started", json.dumps({"number": number}).encode()),
        )


async def work(url: str, _: int) -> Answer:
    """Work until asked to end."""
    record = Record()
    stop = asked()
    async with driver(url) as connected:
        queue = PgQueuer(connected)

        @queue.entrypoint("nothing")
        async def nothing(job: Job) -> None:
            json.loads(job.payload or b"")
            record.nothing()

        @queue.entrypoint("started")
        async def started(job: Job) -> None:
            record.start(json.loads(job.payload or b"")["number"])

        working = asyncio.create_task(queue.run(batch_size=BATCH))
        await stop.wait()
        queue.shutdown.set()
        await working
    return record.told()


if __name__ == "__main__":
    roles = {"prepare": prepare, "fill": fill, "single": single, "ping": ping, "work": work}
    program(roles, uvloop.run)
