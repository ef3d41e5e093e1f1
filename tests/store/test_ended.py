"""Who waits for results is told of ends; who settles pays for it only while somebody waits."""

import asyncio
import time

import asyncpg
import pytest

from celers_worker.core.outcome import Cancelled, Completed, Dead, Expired, Retry, Settlement
from celers_worker.store import control
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.postgres.settling import ENDED_CHANNEL, WAITING_LOCK
from tests.store.steps import BROKEN, DONE, FAILURE, WORKER, claim_all, new_tasks, settle
from tests.waiting import eventually

POSTGRES = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
SOON = 5.0


@pytest.fixture
async def listener(migrated_url):
    """What is notified, whoever waits."""
    heard = []
    connection = await asyncpg.connect(migrated_url)
    await connection.add_listener(ENDED_CHANNEL, lambda *told: heard.append(told[3]))
    yield heard
    await connection.close()


@pytest.fixture
async def make_hints(open_store):
    """Makes those of as many applications as a test wants."""
    made = []

    async def make():
        made.append((await open_store()).ended_hints())
        await made[-1].listen()
        return made[-1]

    yield make
    for hints in made:
        hints.close()


async def running(store, count=1):
    await store.enqueue(new_tasks(count))
    return await claim_all(store)


async def test_without_hints_time_passes_and_who_comes_wakes(make_hints):
    hints = await make_hints()
    assert not await hints.heard_within(0.001)
    hints.wake()
    assert not await hints.heard_within(SOON)
    hints.hear()
    assert await hints.heard_within(SOON)


@POSTGRES
async def test_nobody_is_notified_while_nobody_waits(store, listener):
    for task in await running(store, 3):
        await settle(store, task)
    [task] = await running(store)
    await settle(store, task, Dead("gave up", FAILURE))
    await store.run(control.pause, "default", None)  # something to be heard after all that
    await store.run(
        lambda transaction: transaction.connection.exec_driver_sql(
            f"NOTIFY {ENDED_CHANNEL}, 'the end'"
        )
    )
    await eventually(lambda: listener)
    assert listener == ["the end"]


@POSTGRES
@pytest.mark.parametrize(
    "outcome", [DONE, Completed(b"1"), Cancelled("stopped"), Expired(), Dead("gave up", FAILURE)]
)
async def test_every_end_is_told_once_a_settle(store, make_hints, listener, outcome):
    hints = await make_hints()
    tasks = await running(store, 200)
    await store.settle(WORKER, [Settlement(task, outcome) for task in tasks])
    assert await hints.heard_within(SOON)
    await eventually(lambda: listener)
    assert listener == [""]


@POSTGRES
async def test_what_goes_on_is_not_told(store, make_hints, listener):
    hints = await make_hints()
    first, second = await running(store, 2)
    await settle(store, first, BROKEN)
    await settle(store, second)
    assert await hints.heard_within(SOON)
    await eventually(lambda: listener)
    assert listener == [""]
    assert isinstance(BROKEN, Retry)


@POSTGRES
async def test_a_cancelled_task_is_told_of(store, make_hints):
    hints = await make_hints()
    [added] = await store.enqueue(new_tasks(1))
    await store.run(control.cancel, TaskFilter(ids=[added.id]), "changed my mind")
    assert await hints.heard_within(SOON)


@POSTGRES
async def test_all_who_wait_are_told_and_one_takes_over_when_another_ends(store, make_hints):
    first, second = await make_hints(), await make_hints()
    one, two = await running(store, 2)
    await settle(store, one)
    assert await first.heard_within(SOON)
    assert await second.heard_within(SOON)
    first.close()

    async def took_over():
        await second.listen()
        return second._holds_lock

    await eventually(took_over)
    await settle(store, two)
    assert await second.heard_within(SOON)


@POSTGRES
async def test_who_comes_while_settles_are_under_way_takes_the_lock_after_them(
    store, make_hints, migrated_url
):
    connection = await asyncpg.connect(migrated_url)
    settle_ = connection.transaction()
    await settle_.start()
    assert await connection.fetchval(f"SELECT pg_try_advisory_xact_lock_shared({WAITING_LOCK})")
    began = time.monotonic()
    hints = await make_hints()  # which does not wait for it long
    assert time.monotonic() - began < SOON
    assert not hints._holds_lock
    await settle_.commit()
    await hints.listen()
    assert hints._holds_lock
    await connection.close()


@POSTGRES
async def test_a_connection_that_breaks_is_made_anew(store, make_hints, migrated_url):
    hints = await make_hints()
    pid = hints._connection.get_server_pid()
    connection = await asyncpg.connect(migrated_url)
    await connection.execute(f"SELECT pg_terminate_backend({pid})")
    await connection.close()
    await eventually(lambda: hints._connection.is_closed())

    async def listens():
        await hints.listen()
        return hints._holds_lock and not hints._connection.is_closed()

    await eventually(listens)
    [task] = await running(store)
    await settle(store, task)
    assert await hints.heard_within(SOON)


@POSTGRES
async def test_settles_at_once_do_not_stand_in_each_others_way(store, open_store, listener):
    stores = [store, *[await open_store() for _ in range(3)]]
    batches = [await running(one, 50) for one in stores]

    async def settle_each(one, batch):
        for task in batch:
            assert await settle(one, task)

    await asyncio.gather(*(settle_each(*pair) for pair in zip(stores, batches, strict=True)))
    assert listener == []
