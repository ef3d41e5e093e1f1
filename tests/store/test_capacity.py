"""A queue with a capacity says no in time, and counts no further than it has to."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from celers_worker.core.errors import QueueFull
from celers_worker.core.uniqueness import OnConflict, Uniqueness
from tests.store.steps import claim_one, live_rows, new_task, new_tasks, settle

FIVE = {"default": 5}


async def test_what_does_not_fit_is_refused_as_a_whole(store, direct):
    await store.enqueue(new_tasks(3), capacities=FIVE)
    with pytest.raises(QueueFull, match="3 tasks wait and its capacity is 5") as caught:
        await store.enqueue([*new_tasks(3), *new_tasks(2, queue="other")], capacities=FIVE)
    assert (caught.value.queue, caught.value.capacity) == ("default", 5)
    assert r"[queues.default]" in str(caught.value)
    assert len(live_rows(direct)) == 3
    await store.enqueue(new_tasks(2), capacities=FIVE)
    assert len(live_rows(direct)) == 5


async def test_a_batch_that_can_never_fit_says_so(store):
    with pytest.raises(QueueFull, match="They can never be added at once"):
        await store.enqueue(new_tasks(6), capacities=FIVE)


async def test_queues_without_a_capacity_take_any_number(store, direct):
    await store.enqueue(new_tasks(20, queue="other"), capacities=FIVE)
    assert len(live_rows(direct)) == 20


async def test_running_tasks_take_no_room_and_scheduled_ones_do(store):
    await store.enqueue(new_tasks(4, delay=timedelta(hours=1)), capacities=FIVE)
    await store.enqueue(new_tasks(1), capacities=FIVE)
    task = await claim_one(store)
    await store.enqueue(new_tasks(1), capacities=FIVE)
    assert await settle(store, task)
    with pytest.raises(QueueFull):
        await store.enqueue(new_tasks(1), capacities=FIVE)


async def test_a_task_whose_key_is_taken_takes_no_room(store, direct):
    await store.enqueue([*new_tasks(4), new_task(unique_key="k")], capacities=FIVE)
    [again] = await store.enqueue([new_task(unique_key="k")], capacities=FIVE)
    assert again.existing
    replacing = new_task(
        unique_key="k", payload=b"[2]", uniqueness=Uniqueness(on_conflict=OnConflict.REPLACE)
    )
    await store.enqueue([replacing], capacities=FIVE)
    assert len(live_rows(direct)) == 5


async def test_the_synchronous_store_keeps_to_it_too(direct):
    direct.enqueue(new_tasks(5), capacities=FIVE)
    with pytest.raises(QueueFull):
        direct.enqueue(new_tasks(1), capacities=FIVE)


async def test_each_thousand_of_a_large_batch_is_refused_or_added_as_a_whole(store, direct):
    with pytest.raises(QueueFull):
        await store.enqueue(new_tasks(2_500), capacities={"default": 2_200})
    assert len(live_rows(direct)) == 2_000


async def test_producers_at_once_go_over_by_no_more_than_what_they_add_at_once(open_store, direct):
    stores = [await open_store() for _ in range(4)]

    async def produce(one):
        for _ in range(30):
            await one.enqueue(new_tasks(1), capacities=FIVE)

    answers = await asyncio.gather(*map(produce, stores), return_exceptions=True)
    assert all(isinstance(answer, QueueFull) for answer in answers)
    most = 5 if direct.url.get_backend_name() == "sqlite" else 5 + len(stores) - 1
    assert 5 <= len(live_rows(direct)) <= most
