"""Room under limits that all workers share: never more, never lost, nobody has to give it back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from celers_worker.core.limit import Limit
from celers_worker.core.outcome import Release
from celers_worker.core.task import Task
from celers_worker.store import Store, limits, maintenance, pruning, sql
from celers_worker.store.schema import limit_holders
from celers_worker.store.schema import limits as limits_table
from tests.store.steps import (
    BROKEN,
    DONE,
    GONE_WRONG,
    WORKER,
    claim_all,
    lose_worker,
    new_tasks,
    settle,
    start_worker,
)

TWO = Limit(name="mail", concurrency=2)
#: Three at once, then one a minute.
SLOW = Limit(name="mail", interval=60.0, burst=3)


async def running(store: Store, count: int) -> list[Task]:
    await store.enqueue(new_tasks(count))
    return await claim_all(store)


async def take(store: Store, limit: Limit, task: Task) -> float | None:
    return await store.run(limits.take, limit, task)


async def rows(store: Store, table: Any) -> int:
    count = select(func.count()).select_from(table)
    return await store.run(lambda transaction: transaction.connection.execute(count).scalar_one())


async def pass_time(store: Store, seconds: float) -> None:
    """As if all that is booked had been booked so much earlier."""

    def earlier(transaction: Any) -> None:
        [ago] = transaction.connection.execute(
            select(sql.seconds_since(limits_table.c.free_at))
        ).scalars()
        transaction.connection.execute(
            update(limits_table).values(free_at=sql.later(-float(ago) - seconds))
        )

    await store.run(earlier)


async def test_of_many_who_ask_at_once_no_more_get_room_than_there_is(store, open_store):
    stores = [store, *[await open_store() for _ in range(3)]]
    tasks = await running(store, 20)
    answers = await asyncio.gather(
        *(take(stores[place % 4], TWO, task) for place, task in enumerate(tasks))
    )
    assert sorted(answers, key=str) == [0.0] * 18 + [None] * 2


async def test_who_asks_twice_has_room_once(store):
    first, second, third = await running(store, 3)
    assert [await take(store, TWO, task) for task in (first, first, second, third)] == [
        *(None, None, None),
        0.0,
    ]


@pytest.mark.parametrize("outcome", [DONE, BROKEN, GONE_WRONG, Release()], ids=str)
async def test_every_end_of_a_run_makes_room(store, outcome):
    first, second, third = await running(store, 3)
    assert await take(store, TWO, first) is None
    assert await take(store, TWO, second) is None
    assert await take(store, TWO, third) == 0.0
    await settle(store, first, outcome)
    assert await take(store, TWO, third) is None


async def test_a_task_that_runs_again_has_no_room_by_its_older_lease(store):
    first, *_ = await running(store, 1)
    one = Limit(name="mail", concurrency=1)
    assert await take(store, one, first) is None
    await settle(store, first, BROKEN)
    [again] = await claim_all(store)
    [other] = await running(store, 1)
    assert await take(store, one, other) is None
    assert await take(store, one, again) == 0.0


async def test_the_tasks_of_a_lost_worker_count_until_they_are_reaped(store):
    await start_worker(store)
    first, second, third = await running(store, 3)
    await take(store, TWO, first)
    await take(store, TWO, second)
    await start_worker(store, "worker-2")
    await settle(store, third, BROKEN)
    [third] = await claim_all(store, "worker-2")
    await lose_worker(store, WORKER)
    assert await take(store, TWO, third) == 0.0
    assert len((await store.run(maintenance.reap, max_crashes=3)).released) == 2
    assert await take(store, TWO, third) is None


async def test_names_have_room_of_their_own_letter_by_letter(store):
    tasks = await running(store, 4)
    names = ["mail", "Mail", "m\u00e4il", "mails"]
    for task, name in zip(tasks, names, strict=True):
        assert await take(store, Limit(name=name, concurrency=1), task) is None


async def test_a_rate_lets_some_go_at_once_and_then_one_by_one(store):
    tasks = iter(await running(store, 9))
    assert [await take(store, SLOW, next(tasks)) for _ in range(3)] == [None] * 3
    wait = await take(store, SLOW, next(tasks))
    assert wait is not None
    assert 30 < wait <= 60
    await pass_time(store, wait)
    assert await take(store, SLOW, next(tasks)) is None
    assert await take(store, SLOW, next(tasks)) is not None
    await pass_time(store, 10_000)  # a quiet time makes up for no more than the burst
    assert [(await take(store, SLOW, task)) is None for task in tasks] == [True] * 3


async def test_who_finds_no_room_pays_no_rate(store):
    both = Limit(name="mail", concurrency=1, interval=60.0, burst=2)
    first, second, third = await running(store, 3)
    assert await take(store, both, first) is None
    assert [await take(store, both, second) for _ in range(3)] == [0.0] * 3
    await settle(store, first)
    assert await take(store, both, second) is None
    await settle(store, second)
    assert (await take(store, both, third) or 0) > 30


async def test_what_nobody_needs_is_forgotten(store):
    first, second = await running(store, 2)
    await take(store, TWO, first)
    await take(store, Limit(name="other", concurrency=1), second)
    await settle(store, first)
    retention = dict.fromkeys(
        ("completed", "cancelled", "expired", "dead", "results", "ticks"), timedelta(days=1)
    )
    await store.run(pruning.prune, retention)
    assert (await rows(store, limit_holders), await rows(store, limits_table)) == (1, 2)
    await settle(store, second)

    def long_ago(transaction: Any) -> None:
        transaction.connection.execute(update(limits_table).values(free_at=sql.later(-90_000)))

    await store.run(long_ago)
    await store.run(pruning.prune, retention)
    assert (await rows(store, limit_holders), await rows(store, limits_table)) == (0, 0)
