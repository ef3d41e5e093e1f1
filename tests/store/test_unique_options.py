"""What a unique key does beyond one live task: windows, replacing, refusing, debouncing."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from celers_worker.core.errors import UniqueKeyTaken
from celers_worker.core.outcome import Release
from celers_worker.core.task import Enqueued, TaskState
from celers_worker.core.uniqueness import SUPERSEDED, OnConflict, Uniqueness
from celers_worker.store import inspect, pruning, sql
from celers_worker.store.schema import tasks, unique_windows
from tests.store.steps import (
    BROKEN,
    DONE,
    change_task,
    claim_all,
    claim_one,
    execute,
    ids,
    live_row,
    live_rows,
    new_task,
    settle,
)

HOUR = timedelta(hours=1)
RETENTION = dict.fromkeys(("completed", "cancelled", "expired", "dead", "results"), HOUR)


def keyed(*, payload=b"{}", on_conflict="return", window=None, debounce=None, longest=None, **more):
    how = Uniqueness(
        on_conflict=OnConflict(on_conflict),
        window=window,
        debounce=debounce,
        debounce_max=longest,
    )
    changes = {"unique_key": "k", "delay": debounce or timedelta(0)} | more
    return new_task(payload=payload, uniqueness=how, **changes)


def windows(direct):
    return direct.run(
        lambda transaction: transaction.connection.execute(
            select(func.count()).select_from(unique_windows)
        ).scalar_one()
    )


def end_windows(direct):
    """Let every window have ended."""
    direct.run(
        lambda transaction: transaction.connection.execute(
            update(unique_windows).values(expires_at=sql.later(-1))
        )
    )


def seconds_until_due(direct):
    [row] = direct.run(
        lambda transaction: transaction.connection.execute(
            select(sql.seconds_since(tasks.c.scheduled_at))
        ).all()
    )
    return -float(row[0])


async def at_once(open_store, groups):
    """Enqueue each group by a session of its own, at the same time."""
    stores = [await open_store() for _ in range(8)]
    calls = [stores[index % 8].enqueue(group) for index, group in enumerate(groups)]
    return [one for answer in await asyncio.gather(*calls) for one in answer]


# --- windows ---


async def test_a_key_stays_taken_for_its_window_though_its_task_has_ended(store, direct):
    [first] = await store.enqueue([keyed(window=HOUR)])
    assert await settle(store, await claim_one(store))
    assert await store.enqueue([keyed(window=HOUR)]) == [Enqueued(first.id, existing=True)]
    assert await store.enqueue([new_task(unique_key="k")]) == [Enqueued(first.id, existing=True)]
    assert live_rows(direct) == []


async def test_after_its_window_a_key_is_free(store, direct):
    await store.enqueue([keyed(window=HOUR)])
    assert await settle(store, await claim_one(store))
    end_windows(direct)
    second = keyed(window=HOUR)
    assert await store.enqueue([second]) == [Enqueued(second.id)]
    assert windows(direct) == 1


async def test_a_live_task_outlasts_its_window_and_begins_no_other(store, direct):
    [first] = await store.enqueue([keyed(window=HOUR)])
    end_windows(direct)
    assert await store.enqueue([keyed(window=HOUR)]) == [Enqueued(first.id, existing=True)]
    assert await settle(store, await claim_one(store))
    other = keyed(window=HOUR)
    assert await store.enqueue([other]) == [Enqueued(other.id)]


async def test_the_janitor_forgets_windows_that_have_ended(store, direct):
    await store.enqueue([keyed(window=HOUR), keyed(window=HOUR, unique_key="other")])
    await store.run(pruning.prune, RETENTION)
    assert windows(direct) == 2
    end_windows(direct)
    await store.run(pruning.prune, RETENTION)
    assert windows(direct) == 0


async def test_fifty_enqueues_of_one_window_at_once_add_one_task(open_store, direct):
    answers = await at_once(open_store, [[keyed(window=HOUR)] for _ in range(50)])
    assert len({one.id for one in answers}) == 1
    assert [one.existing for one in answers].count(False) == 1
    assert len(live_rows(direct)) == 1


async def test_fifty_enqueues_at_once_take_a_window_that_ended_once(open_store, store, direct):
    await store.enqueue([keyed(window=HOUR)])
    await settle(store, await claim_one(store))
    end_windows(direct)
    answers = await at_once(open_store, [[keyed(window=HOUR)] for _ in range(50)])
    assert [one.existing for one in answers].count(False) == 1
    assert len(live_rows(direct)) == 1


async def test_with_and_without_a_window_at_once_there_is_one_task(open_store, direct):
    groups = [[keyed(window=HOUR) if n % 2 else new_task(unique_key="k")] for n in range(40)]
    answers = await at_once(open_store, groups)
    assert len({one.id for one in answers}) == 1
    assert len(live_rows(direct)) == 1


async def test_a_repeated_enqueue_finds_its_own_window_and_adds_nothing(store, direct):
    task = keyed(window=HOUR)
    await store.enqueue([task])
    [claimed] = await claim_all(store)
    await settle(store, claimed)
    execute(direct, "DELETE FROM celers_task_archive")
    repeated = await store.run(store.transaction.enqueue, [task], repeated=True)
    assert repeated == [Enqueued(task.id)]
    assert live_rows(direct) == []


# --- raise ---


async def test_a_taken_key_can_be_refused_and_nothing_of_the_batch_is_added(store, direct):
    [first] = await store.enqueue([new_task(unique_key="k")])
    batch = [new_task(), keyed(unique_key="a", window=HOUR), keyed(on_conflict="raise")]
    with pytest.raises(UniqueKeyTaken, match=rf"'k' is taken by task {first.id}") as caught:
        await store.enqueue(batch)
    assert (caught.value.task_id, caught.value.unique_key) == (first.id, "k")
    assert ids(live_rows(direct)) == [first.id]
    assert windows(direct) == 0


async def test_a_free_key_is_not_refused(store):
    task = keyed(on_conflict="raise")
    assert await store.enqueue([task]) == [Enqueued(task.id)]


async def test_a_key_in_its_window_is_refused_too(store):
    [first] = await store.enqueue([keyed(window=HOUR)])
    await settle(store, await claim_one(store))
    with pytest.raises(UniqueKeyTaken, match=str(first.id)):
        await store.enqueue([keyed(window=HOUR, on_conflict="raise")])


async def test_of_many_refusing_enqueues_at_once_one_succeeds(open_store, direct):
    stores = [await open_store() for _ in range(6)]
    calls = [stores[n % 6].enqueue([keyed(on_conflict="raise")]) for n in range(30)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, list) for one in answers) == 1
    assert sum(isinstance(one, UniqueKeyTaken) for one in answers) == 29
    assert len(live_rows(direct)) == 1


# --- replace ---


async def test_a_waiting_task_becomes_the_new_one_and_keeps_its_id(store, direct):
    [first] = await store.enqueue([new_task(unique_key="k", payload=b"[1]", queue="old")])
    newer = keyed(
        on_conflict="replace",
        payload=b"[2]",
        queue="new",
        priority=7,
        max_retries=9,
        delay=HOUR,
        timeout=timedelta(seconds=3),
        metadata={"a": 1},
        fingerprint="f",
    )
    assert await store.enqueue([newer]) == [Enqueued(first.id, existing=True)]
    row = live_row(direct, first.id)
    assert (row.payload, row.queue_name, row.priority, row.max_retries) == (b"[2]", "new", 7, 9)
    assert (row.timeout, row.metadata, row.fingerprint) == (3.0, {"a": 1}, "f")
    assert 3_500 < seconds_until_due(direct) <= 3_600


async def test_a_task_that_waits_for_its_retry_starts_anew_when_it_is_replaced(store, direct):
    [first] = await store.enqueue([new_task(unique_key="k")])
    await settle(store, await claim_one(store), BROKEN)
    await store.enqueue([keyed(on_conflict="replace", payload=b"[2]")])
    row = live_row(direct, first.id)
    assert (row.payload, row.retry_count, row.error_message) == (b"[2]", 0, None)


async def test_a_running_task_is_never_replaced_but_followed(store, direct):
    [first] = await store.enqueue([new_task(unique_key="k", payload=b"[1]")])
    running = await claim_one(store)
    newer = keyed(on_conflict="replace", payload=b"[2]")
    assert await store.enqueue([newer]) == [Enqueued(newer.id)]
    assert live_row(direct, first.id).payload == b"[1]"
    assert await settle(store, running)
    assert (await store.run(inspect.task, first.id)).state is TaskState.COMPLETED
    assert (await claim_one(store)).id == newer.id


@pytest.mark.parametrize("outcome", [BROKEN, Release()], ids=["failed", "released"])
async def test_a_run_that_was_followed_is_not_repeated_with_old_arguments(store, outcome):
    [first] = await store.enqueue([new_task(unique_key="k")])
    running = await claim_one(store)
    await store.enqueue([keyed(on_conflict="replace")])
    assert await settle(store, running, outcome)
    view = await store.run(inspect.task, first.id)
    assert (view.state, view.reason) == (TaskState.CANCELLED, SUPERSEDED)


async def test_replacing_many_times_at_once_leaves_one_task_of_one_of_them(open_store, direct):
    groups = [[keyed(on_conflict="replace", payload=b"[%d]" % n)] for n in range(40)]
    answers = await at_once(open_store, groups)
    [row] = live_rows(direct)
    assert {one.id for one in answers} == {row.id}
    assert row.payload in {b"[%d]" % n for n in range(40)}


async def test_replacing_while_workers_claim_never_changes_what_runs(open_store, store, direct):
    claimed = []
    producer, worker = await open_store(), await open_store()

    async def produce():
        for number in range(60):
            await producer.enqueue([keyed(on_conflict="replace", payload=b"[%d]" % number)])

    async def consume(done):
        while not done.is_set():
            for task in await claim_all(worker):
                claimed.append(task)
                assert live_row(direct, task.id).payload == task.payload
                assert await settle(worker, task, DONE)

    done = asyncio.Event()
    consumer = asyncio.create_task(consume(done))
    await produce()
    done.set()
    await consumer
    claimed += await claim_all(worker)
    assert claimed[-1].payload == b"[59]", "the newest arguments run last"
    assert len({task.id for task in claimed}) == len(claimed)


async def test_a_blocked_task_is_left_as_it_is(store, direct):
    [first] = await store.enqueue([new_task(unique_key="k", payload=b"[1]")])
    await change_task(store, first.id, state="blocked")
    assert await store.enqueue([keyed(on_conflict="replace", payload=b"[2]")]) == [
        Enqueued(first.id, existing=True)
    ]
    assert live_row(direct, first.id).payload == b"[1]"


async def test_within_its_window_a_task_that_waits_is_replaced_and_one_that_runs_is_not(
    store, direct
):
    [first] = await store.enqueue([keyed(window=HOUR, payload=b"[1]")])
    again = keyed(window=HOUR, on_conflict="replace", payload=b"[2]")
    assert await store.enqueue([again]) == [Enqueued(first.id, existing=True)]
    running = await claim_one(store)
    assert running.payload == b"[2]"
    late = keyed(window=HOUR, on_conflict="replace", payload=b"[3]")
    assert await store.enqueue([late]) == [Enqueued(first.id, existing=True)]
    assert ids(live_rows(direct)) == [first.id]


# --- debounce ---

FIVE = timedelta(seconds=5)


async def test_each_enqueue_puts_a_debounced_task_off_and_brings_its_arguments(store, direct):
    [first] = await store.enqueue([keyed(debounce=FIVE, payload=b"[1]")])
    await change_task(store, first.id, scheduled_at=sql.later(1))
    assert await store.enqueue([keyed(debounce=FIVE, payload=b"[2]")]) == [
        Enqueued(first.id, existing=True)
    ]
    assert live_row(direct, first.id).payload == b"[2]"
    assert 4 < seconds_until_due(direct) <= 5
    assert await claim_all(store) == []


async def test_a_debounced_task_is_put_off_no_longer_than_its_maximum(store, direct):
    task = keyed(debounce=FIVE, longest=timedelta(minutes=1))
    await store.enqueue([task])
    await change_task(store, task.id, created_at=sql.later(-58))
    await store.enqueue([keyed(debounce=FIVE, longest=timedelta(minutes=1))])
    assert 1 < seconds_until_due(direct) <= 2
    await change_task(store, task.id, created_at=sql.later(-70))
    await store.enqueue([keyed(debounce=FIVE, longest=timedelta(minutes=1))])
    assert -1 < seconds_until_due(direct) <= 0


async def test_a_debounced_task_that_runs_is_followed_by_one_that_waits(store, direct):
    [first] = await store.enqueue([keyed(debounce=FIVE)])
    await change_task(store, first.id, scheduled_at=sql.later(-1))
    await claim_one(store)
    [second] = await store.enqueue([keyed(debounce=FIVE)])
    [third] = await store.enqueue([keyed(debounce=FIVE)])
    assert second.id != first.id
    assert third == Enqueued(second.id, existing=True)
    assert len(live_rows(direct)) == 2


async def test_debouncing_fifty_times_at_once_leaves_one_waiting_task(open_store, direct):
    answers = await at_once(open_store, [[keyed(debounce=FIVE)] for _ in range(50)])
    assert len({one.id for one in answers}) == 1
    [row] = live_rows(direct)
    assert row.state == "pending"


def test_threads_with_keys_of_every_kind_end_and_leave_one_task_a_key(direct):
    def produce(seed):
        kinds = [
            {"on_conflict": "replace"},
            {"window": HOUR},
            {"debounce": FIVE},
            {},
        ]
        for number in range(12):
            batch = [
                keyed(unique_key=f"k{(seed + number + n) % 5}", **kinds[(seed + n) % 4])
                for n in range(4)
            ]
            direct.enqueue(batch)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(produce, range(6)))
    rows = live_rows(direct)
    assert len({row.unique_key for row in rows}) == len(rows) == 5
