"""How far the database is away, and how fast tasks are added."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from celers_worker.benchmark.figures import MILLISECONDS, RATE, Figure
from celers_worker.benchmark.run import Run
from celers_worker.benchmark.tasks import nothing
from celers_worker.store import footprint
from celers_worker.store.transaction import Transaction

CALLERS = 8
#: Questions for the round trip, all in one transaction; the first ones warm up.
_PINGS, _WARM_UP = 100, 5
#: That transaction must not be in anybody's way for longer, in seconds.
_PING_SECONDS = 0.5


def round_trip(run: Run) -> list[Figure]:
    """The time of a question that the server answers without work."""
    value = median(run.store.run(_ping)) * 1e3
    hint = "every call of the database takes at least this"
    return [Figure("round trip, p50", value, MILLISECONDS, hint)]


def enqueue(run: Run) -> list[Figure]:
    """Single calls, one after the other and from several callers at a time; then many in a call."""
    single = run.enqueueing(lambda: _add_singly(run, 1))
    several = run.enqueueing(lambda: _add_singly(run, CALLERS))
    run.empty()
    added, seconds = run.fill(nothing, run.limits.tasks, run.limits.seconds)
    many = added / seconds
    run.empty()
    return [
        Figure("enqueue, 1 caller", single, RATE, "each call waits for its own commit"),
        Figure(
            f"enqueue, {CALLERS} callers",
            several,
            RATE,
            f"{several / single:.1f} times one caller",
        ),
        Figure(
            "enqueue_many",
            many,
            RATE,
            f"{many / single:.0f} times one by one: use it for more than a few",
        ),
    ]


def _ping(transaction: Transaction) -> list[float]:
    end = time.perf_counter() + _PING_SECONDS
    taken: list[float] = []
    while len(taken) < _PINGS + _WARM_UP and (len(taken) <= _WARM_UP or time.perf_counter() < end):
        began = time.perf_counter()
        footprint.ping(transaction)
        taken.append(time.perf_counter() - began)
    return taken[_WARM_UP:]


async def _add_singly(run: Run, callers: int) -> float:
    """Tasks a second, of so many callers that each wait for their last one."""
    one = nothing.with_(queue=run.queue)
    await one.enqueue()  # connects
    began = time.monotonic()
    end = began + run.limits.seconds
    room = run.limits.tasks

    async def add() -> int:
        nonlocal room
        added = 0
        while room > 0 and time.monotonic() < end:
            room -= 1
            await one.enqueue()
            added += 1
        return added

    counts = await asyncio.gather(*(add() for _ in range(callers)))
    return sum(counts) / (time.monotonic() - began)
