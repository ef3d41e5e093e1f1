"""Procrastinate: as many jobs at once, and connections, as one event loop makes use of; uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from procrastinate import App, PsycopgConnector
from program import Answer, Record, asked, program, timed_fill, timed_pings, timed_single

CONCURRENCY = 10
record = Record()
app = App(connector=PsycopgConnector())


@app.task(name="nothing")
async def nothing(number: int) -> None:
    """Count it."""
    record.nothing()


@app.task(name="started")
async def started(number: int) -> None:
    """Note when it started."""
    record.start(number)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[App]:
    """The application on this database."""
    connector = PsycopgConnector(conninfo=url, max_size=CONCURRENCY + 2)
    with app.replace_connector(connector):
        async with app.open_async():
            yield app


async def prepare(url: str, _: int) -> None:
    """Install its tables."""
    async with opened(url) as connected:
        await connected.schema_manager.apply_schema_async()


async def fill(url: str, tasks: int) -> Answer:
    """Enqueue many by each call."""
    async with opened(url) as connected:
        task = connected.tasks["nothing"]
        return await timed_fill(
            tasks, lambda numbers: task.batch_defer_async(*({"number": n} for n in numbers))
        )


async def single(url: str, seconds: int) -> Answer:
    """Enqueue one by one."""
    async with opened(url) as connected:
        task = connected.tasks["nothing"]
        return await timed_single(seconds, lambda number: task.defer_async(number=number))


async def ping(url: str, tasks: int) -> Answer:
    """Enqueue one by one into an idle worker."""
    async with opened(url) as connected:
        task = connected.tasks["started"]
        return await timed_pings(tasks, lambda number: task.defer_async(number=number))


async def work(url: str, _: int) -> Answer:
    """Work until asked to end."""
    async with opened(url) as connected:
        working = asyncio.create_task(
            connected.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
        )
        await asked().wait()
        working.cancel()
        await asyncio.wait([working])
    return record.told()


if __name__ == "__main__":
    roles = {"prepare": prepare, "fill": fill, "single": single, "ping": ping, "work": work}
    program(roles, uvloop.run)
