"""An idle worker that hears of tasks claims them without looking around first."""

import pytest
from sqlalchemy import text

from celers_worker.core.task import Demand
from celers_worker.store import control
from tests.store.steps import WORKER, any_queue, claim_all, ids, new_task, new_tasks

pytestmark = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)


@pytest.fixture
async def idle(open_store):
    """A store that listens, and knows that nothing is due."""
    listener = await open_store()
    wakeups = listener.wakeups()
    await anext(wakeups)
    assert await listener.claim(WORKER, any_queue(10)) == []

    async def hear():
        await anext(wakeups)
        return listener

    yield hear
    await wakeups.aclose()


async def test_the_highest_priority_comes_first_then_the_longest_wait(idle, store):
    batch = [new_task(priority=priority, queue=queue) for priority in (0, 9, 5) for queue in "ab"]
    await store.enqueue(batch)
    listener = await idle()
    claimed = await listener.claim(WORKER, any_queue(3))
    assert [task.priority for task in claimed] == [9, 9, 5]
    assert ids(claimed + await claim_all(listener)) == ids(sorted(batch, key=lambda t: -t.priority))


async def test_it_looks_around_with_the_next_claim(idle, store):
    await store.enqueue(new_tasks(2))
    listener = await idle()
    assert len(await listener.claim(WORKER, any_queue(1))) == 1
    assert listener.levels.exhausted
    assert len(await listener.claim(WORKER, any_queue(5))) == 1


async def test_a_queue_that_is_announced_but_not_served_is_left_alone(idle, store):
    await store.enqueue(new_tasks(1))
    listener = await idle()
    assert await listener.claim(WORKER, Demand(5, queues={"other": 5})) == []


async def test_a_paused_queue_that_is_announced_stays_paused(idle, store, direct):
    direct.run(control.pause, "default", None)
    await store.enqueue(new_tasks(1))
    listener = await idle()
    assert await listener.claim(WORKER, any_queue(5)) == []


@pytest.mark.parametrize(
    "demand",
    [
        Demand(5, queues={"default": 2}),
        Demand(5, others=2),
        Demand(5, others=5, handlers={"send": 2}),
    ],
)
async def test_no_limit_is_exceeded(idle, store, demand):
    await store.enqueue(new_tasks(4))
    listener = await idle()
    assert len(await listener.claim(WORKER, demand)) == 2


async def test_a_handler_without_room_is_left_out(idle, store):
    await store.enqueue([*new_tasks(2), new_task(name="other")])
    listener = await idle()
    claimed = await listener.claim(WORKER, Demand(5, others=5, handlers={"send": 0}))
    assert [task.name for task in claimed] == ["other"]


async def test_tasks_that_are_not_due_are_not_claimed(idle, store, direct):
    await store.enqueue(new_tasks(2))
    tomorrow = text("UPDATE celers_tasks SET scheduled_at = now() + interval '1 day'")
    direct.run(lambda transaction: transaction.connection.execute(tomorrow))
    listener = await idle()
    assert await listener.claim(WORKER, any_queue(5)) == []


async def test_a_worker_hears_only_of_the_queues_it_serves(open_store, store):
    listener = await open_store()
    assert await listener.claim(WORKER, Demand(5, queues={"other": 5})) == []
    wakeups = listener.wakeups()
    await anext(wakeups)
    await store.enqueue(new_tasks(1))
    await store.enqueue(new_tasks(1, queue="other"))
    await anext(wakeups)
    claimed = await listener.claim(WORKER, Demand(5, queues={"other": 5}))
    assert [task.queue for task in claimed] == ["other"]
    assert listener.levels.exhausted  # it claimed what was announced, and that was its own
    await wakeups.aclose()
