"""Whoever calls the store is cancelled, at any moment: nothing is lost, and nothing stays taken."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from celers_worker.core.errors import StoreError
from celers_worker.core.outcome import Completed, Failure, Outcome, Release, Retry, Settlement
from celers_worker.core.task import Demand, Task
from celers_worker.store import Store, inspect, maintenance, make_store
from celers_worker.store.inspect import TaskFilter
from tests.faults import handlers
from tests.faults.conftest import Play, Scale
from tests.faults.stage import Stage
from tests.faults.test_storms import SEED
from tests.store.steps import worker_card
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("crash points")]

WORKER, LEASE = "cancelled", timedelta(minutes=10)
BROKEN = Retry(timedelta(0), Failure("ValueError", "no such user"))


class Caller:
    """Calls a store as a worker and a producer do, and is cancelled in most of its calls."""

    def __init__(self, stage: Stage, store: Store, chance: random.Random) -> None:
        self.stage = stage
        self.store = store
        self.chance = chance
        self.held: dict[UUID, Task] = {}
        self.cancelled = 0
        #: How long each call takes when nobody disturbs it, in seconds.
        self.usual: dict[str, float] = {}

    async def enqueue(self) -> None:
        tasks = [handlers.work.call().task for _ in range(self.chance.randrange(1, 4))]
        ids = [task.id for task in tasks]
        self.stage.sent.update(ids)
        await self.store.enqueue(tasks)
        self.stage.acknowledged.update(ids)

    async def claim(self) -> None:
        claimed = await self.store.claim(WORKER, Demand(total=6, others=6))
        self.held.update({task.id: task for task in claimed})

    async def settle(self) -> None:
        ends: list[Outcome] = [Completed(), BROKEN, Release()]
        tasks = list(self.held.values())[:5]
        await self.write([Settlement(task, self.chance.choice(ends)) for task in tasks])

    async def write(self, settlements: list[Settlement]) -> None:
        await self.store.settle(WORKER, settlements)
        for one in settlements:  # those refused were written by a call that was cancelled
            self.held.pop(one.task.id, None)

    async def renew(self) -> None:
        await self.store.run(maintenance.renew, WORKER, LEASE)

    async def recover(self) -> None:
        await self.store.run(maintenance.recover, WORKER, set(self.held))

    async def reap(self) -> None:
        await self.store.run(maintenance.reap, max_crashes=3, orphans=True)

    async def look(self) -> None:
        await self.store.run(inspect.list_tasks, TaskFilter(), limit=10)

    async def disturbed(self, call: Callable[[], Awaitable[None]]) -> None:
        """Make one call, and cancel it at a moment of its own."""
        name = getattr(call, "__name__", "")
        moment = self.chance.uniform(0, 1.2 * self.usual[name])
        made = asyncio.ensure_future(call())
        await asyncio.wait({made}, timeout=moment)
        self.cancelled += made.cancel()
        with contextlib.suppress(asyncio.CancelledError, StoreError):
            await made

    async def undisturbed(self, call: Callable[[], Awaitable[None]]) -> None:
        """Make one call, and take note of how long it takes."""
        began = time.monotonic()
        await call()
        self.usual[getattr(call, "__name__", "")] = time.monotonic() - began

    async def finish(self) -> None:
        """Let everything come to its end, with the same store."""
        while self.stage.left():
            await self.recover()
            await self.claim()
            await self.write([Settlement(task, Completed()) for task in self.held.values()])


async def storm(stage: Stage, chance: random.Random, rounds: int) -> int:
    """Disturb so many calls; how many of them were cancelled."""
    store = make_store(stage.url)
    await store.open()
    await store.run(maintenance.register, worker_card(WORKER), LEASE)
    caller = Caller(stage, store, chance)
    hot = [caller.enqueue, caller.claim, caller.settle]
    calls = [*hot, *hot, caller.renew, caller.recover, caller.reap, caller.look]
    for call in calls:
        await caller.undisturbed(call)
    for number in range(rounds):
        await caller.disturbed(chance.choice(calls))
        if number % 20 == 19:  # what is cancelled now and then works in between
            await caller.undisturbed(chance.choice(calls))
    await caller.finish()
    await eventually(lambda: store.pool is None or store.pool.in_use <= store.held)
    await store.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a call goes on after its end"
    return caller.cancelled


def test_calls_that_are_cancelled_at_any_moment_lose_nothing_and_keep_nothing(
    everywhere: Play, scale: Scale
) -> None:
    def scenario(stage: Stage) -> None:
        chance = random.Random(f"{SEED} {stage.database}")
        cancelled = asyncio.run(storm(stage, chance, scale(150, 3_000)))
        stage.board.injected("call of the store cancelled", stage.database, cancelled)
        assert cancelled > scale(30, 600), "the calls ended before they could be cancelled"
        stage.judged()

    everywhere(scenario)
