"""A unique key names at most one live task."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from celers_worker.core.outcome import Cancelled, Expired, Release
from celers_worker.core.task import Enqueued
from celers_worker.store.control import cancel
from celers_worker.store.inspect import TaskFilter
from tests.store.steps import (
    BROKEN,
    DONE,
    GONE_WRONG,
    claim_all,
    claim_one,
    enqueue_and_claim,
    ids,
    live_rows,
    new_task,
    settle,
)

DISTINCT = ["a", "A", "á", "a\u0301", " a", "\uff41", "ß", "ss", "😀", "'a'", "%", "_"]


async def test_a_taken_key_answers_with_the_task_that_has_it(store, direct):
    first, second = new_task(unique_key="k"), new_task(unique_key="k")
    assert await store.enqueue([first]) == [Enqueued(first.id)]
    assert await store.enqueue([second]) == [Enqueued(first.id, existing=True)]
    assert direct.enqueue([second]) == [Enqueued(first.id, existing=True)]
    assert ids(live_rows(direct)) == [first.id]


async def test_fifty_concurrent_enqueues_of_one_key_make_one_task(  # T15
    open_store, direct
):
    stores = [await open_store() for _ in range(5)]
    answers = await asyncio.gather(
        *(
            stores[number % len(stores)].enqueue([new_task(unique_key="welcome:1")])
            for number in range(50)
        )
    )
    [row] = live_rows(direct)
    assert [enqueued.id for [enqueued] in answers] == [row.id] * 50
    assert sum(not enqueued.existing for [enqueued] in answers) == 1


def test_fifty_enqueues_of_one_key_from_threads_make_one_task(direct):  # T15
    with ThreadPoolExecutor(10) as threads:
        answers = list(
            threads.map(lambda _: direct.enqueue([new_task(unique_key="welcome:1")]), range(50))
        )
    [row] = live_rows(direct)
    assert [enqueued.id for [enqueued] in answers] == [row.id] * 50


async def test_concurrent_batches_with_the_same_keys_in_any_order_all_succeed(open_store, direct):
    stores = [await open_store() for _ in range(4)]
    keys = [f"k{number}" for number in range(20)]
    answers = await asyncio.gather(
        *(
            stores[number % 4].enqueue(
                [new_task(unique_key=key) for key in (keys if number % 2 else reversed(keys))]
            )
            for number in range(16)
        )
    )
    owner = {row.unique_key: row.id for row in live_rows(direct)}
    assert sorted(owner) == sorted(keys)
    in_order = [owner[key] for key in keys]
    assert [ids(answer) for answer in answers] == [
        in_order if number % 2 else in_order[::-1] for number in range(16)
    ]


async def test_the_others_of_a_batch_are_added_around_taken_keys(store, direct):  # T27
    [taken] = await store.enqueue([new_task(unique_key="taken")])
    batch = [new_task(unique_key=key) for key in (None, "taken", "free", None)]
    assert await store.enqueue(batch) == [
        Enqueued(batch[0].id),
        Enqueued(taken.id, existing=True),
        Enqueued(batch[2].id),
        Enqueued(batch[3].id),
    ]
    assert len(live_rows(direct)) == 4


async def test_a_key_twice_in_one_batch_names_the_first(store, direct):  # T27
    first, second = new_task(unique_key="k"), new_task(unique_key="k")
    assert await store.enqueue([first, second]) == [
        Enqueued(first.id),
        Enqueued(first.id, existing=True),
    ]
    assert ids(live_rows(direct)) == [first.id]


async def test_tasks_without_a_key_are_never_the_same(store, direct):
    await store.enqueue([new_task(), new_task()])
    assert len(live_rows(direct)) == 2


@pytest.mark.parametrize("outcome", [BROKEN, Release(), Release(timedelta(minutes=1))])
async def test_a_key_stays_taken_while_its_task_may_run_again(store, outcome):
    task = await enqueue_and_claim(store, unique_key="k")
    assert await store.enqueue([new_task(unique_key="k")]) == [Enqueued(task.id, existing=True)]
    await settle(store, task, outcome)
    assert await store.enqueue([new_task(unique_key="k")]) == [Enqueued(task.id, existing=True)]


@pytest.mark.parametrize("outcome", [DONE, GONE_WRONG, Cancelled("stopped"), Expired()])
async def test_every_final_outcome_frees_the_key(store, outcome):
    task = await enqueue_and_claim(store, unique_key="k")
    await settle(store, task, outcome)
    fresh = new_task(unique_key="k")
    assert await store.enqueue([fresh]) == [Enqueued(fresh.id)]


async def test_a_cancelled_waiting_task_frees_its_key(store):
    [waiting] = await store.enqueue([new_task(unique_key="k")])
    await store.run(cancel, TaskFilter(ids=[waiting.id]), "not wanted")
    fresh = new_task(unique_key="k")
    assert await store.enqueue([fresh]) == [Enqueued(fresh.id)]


async def test_keys_are_compared_byte_for_byte(store, direct):
    batch = [new_task(unique_key=key) for key in DISTINCT]
    assert await store.enqueue(batch) == [Enqueued(task.id) for task in batch]
    assert sorted(row.unique_key for row in live_rows(direct)) == sorted(DISTINCT)


@pytest.mark.parametrize("key", ["k" * 255, "😀" * 63])
async def test_a_key_may_have_255_bytes(store, key):
    [added] = await store.enqueue([new_task(unique_key=key)])
    assert await store.enqueue([new_task(unique_key=key)]) == [Enqueued(added.id, existing=True)]


async def test_an_enqueue_waits_for_one_that_has_not_been_committed(store, direct):
    # Whoever gives up its transaction gives the key to the one that waits: no request is lost.
    kept = new_task(unique_key="k")
    with direct.engine.connect() as connection:
        direct.transaction(connection).enqueue([new_task(unique_key="k")])
        waiting = asyncio.ensure_future(store.enqueue([kept]))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        connection.rollback()
    assert await waiting == [Enqueued(kept.id)]


async def test_a_key_can_change_hands_any_number_of_times(store):
    for _ in range(5):
        task = await enqueue_and_claim(store, unique_key="k")
        await settle(store, task)
    await store.enqueue([new_task(unique_key="k")])
    assert (await claim_one(store)).id != task.id
    assert await claim_all(store) == []
