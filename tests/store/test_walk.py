"""Whatever is done to a task in whatever order, its state follows the table of core.task."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from celers_worker.core.outcome import Cancelled, Completed, Expired, Release, Settlement
from celers_worker.core.task import TRANSITIONS, TaskState
from celers_worker.store import control, inspect, maintenance
from celers_worker.store.inspect import TaskFilter
from tests.store.steps import (
    BROKEN,
    GONE_WRONG,
    any_queue,
    lose_worker,
    new_task,
    start_worker,
)

OUTCOMES = [
    Completed(b"1"),
    BROKEN,
    BROKEN,
    Release(),
    Release(timedelta(0), "snoozed"),
    Cancelled("stopped"),
    Expired(),
    GONE_WRONG,
]


class Walk:
    """Does one thing after another to one task, and keeps every lease it was ever given."""

    def __init__(self, store, seed):
        self.store = store
        self.random = random.Random(seed)
        self.task_id = None
        self.claimed = []
        self.workers = 0

    async def begin(self):
        [added] = await self.store.enqueue([new_task(max_retries=1_000)])
        self.task_id = added.id

    async def claim(self):
        self.workers += 1
        worker = await start_worker(self.store, f"w{self.workers}")
        self.store.levels.forget()
        self.claimed += await self.store.claim(worker, any_queue(1))

    async def settle(self):
        if self.claimed:
            task = self.random.choice(self.claimed[-3:])
            outcome = self.random.choice(OUTCOMES)
            await self.store.settle("w", [Settlement(task, outcome)])

    async def crash(self):
        for number in range(1, self.workers + 1):
            await lose_worker(self.store, f"w{number}")
        await self.store.run(maintenance.reap, max_crashes=1_000, orphans=True)

    async def recover(self):
        await self.store.run(maintenance.recover, f"w{self.workers}", [])

    async def cancel(self):
        await self.store.run(control.cancel, TaskFilter(ids=[self.task_id]), "stopped")

    async def retry(self):
        await self.store.run(control.retry, self.task_id)

    async def requeue(self):
        await self.store.run(control.requeue, TaskFilter())


async def kept(store, task_id):
    """Where the task is: its only row."""
    views = await store.run(inspect.list_tasks, TaskFilter(ids=[task_id]))
    [view] = views
    return view


@pytest.mark.parametrize("seed", range(6))
async def test_a_random_life_never_leaves_the_table_of_transitions(store, seed):
    walk = Walk(store, seed)
    await walk.begin()
    steps = [walk.claim] * 4 + [walk.settle] * 5
    steps += [walk.crash, walk.recover, walk.cancel, walk.retry, walk.retry, walk.requeue]
    before = await kept(store, walk.task_id)
    seen = Counter()
    for _ in range(60):
        step = walk.random.choice(steps)
        await step()
        after = await kept(store, walk.task_id)
        assert after.state is before.state or after.state in TRANSITIONS[before.state], step
        assert after.lease >= before.lease
        if after.state is TaskState.COMPLETED:
            await walk.begin()
            walk.claimed.clear()
            after = await kept(store, walk.task_id)
        seen[after.state] += 1
        before = after
    assert len(seen) >= 3
