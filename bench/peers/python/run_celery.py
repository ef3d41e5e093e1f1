"""Celery on Redis, as its page on optimizing advises for short tasks: many prefetched, no results,
no gossip. The pool without threads or processes was the fastest for tasks that do nothing.
Late acknowledgement, for the others lose no task of a killed worker either.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from celery import Celery
from program import Answer, Record, program, tell, timed_fill, timed_pings, timed_single

record = Record()
app = Celery()
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600},
    task_acks_late=True,
    task_ignore_result=True,
    worker_redirect_stdouts=False,
    worker_prefetch_multiplier=128,
)


@app.task(name="nothing")
def nothing(number: int) -> None:
    """Count it."""
    record.nothing()


@app.task(name="started")
def started(number: int) -> None:
    """Note when it started."""
    record.start(number)


async def prepare(url: str, _: int) -> None:
    """Nothing: its queue is a list that appears by itself."""


async def fill(url: str, tasks: int) -> Answer:
    """Enqueue one by one, on one connection: it has no other way."""
    app.conf.broker_url = url

    async def add(numbers: Sequence[int]) -> None:
        for number in numbers:
            nothing.apply_async((number,), producer=producer)

    with app.producer_or_acquire() as producer:
        return await timed_fill(tasks, add)


async def single(url: str, seconds: int) -> Answer:
    """Enqueue one by one."""
    app.conf.broker_url = url

    async def add(number: int) -> None:
        nothing.delay(number)

    return await timed_single(seconds, add)


async def ping(url: str, tasks: int) -> Answer:
    """Enqueue one by one into an idle worker."""
    app.conf.broker_url = url
    nothing.delay(-1)  # connects

    async def add(number: int) -> None:
        started.delay(number)

    return await timed_pings(tasks, add)


def work(url: str) -> None:
    """Work until asked to end: no role of the program, for Celery wants no loop around it."""
    app.conf.broker_url = url
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    with suppress(SystemExit):
        app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", *alone])
    tell(record.told())


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        program({"prepare": prepare, "fill": fill, "single": single, "ping": ping})
