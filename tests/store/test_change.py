"""Changes of tasks that wait: what is changed, what is left alone, and who comes first."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from celers_worker.core.changes import CHANGEABLE, Changes
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.outcome import Cancelled
from celers_worker.core.task import Demand, TaskState, new_id
from celers_worker.store import inspect
from celers_worker.store.change import change, change_many
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.levels import Levels
from tests.store.steps import (
    DONE,
    WORKER,
    any_queue,
    bury,
    change_task,
    claim_all,
    enqueue_and_claim,
    ids,
    live_row,
    new_task,
    new_tasks,
    settle,
)


async def test_a_waiting_task_takes_its_new_values(store, direct):
    [task] = await store.enqueue([new_task(metadata={"a": 1, "b": 2})])
    wanted = Changes(priority=9, queue="other", max_retries=7, metadata={"b": None, "c": "x"})
    assert await store.run(change, task.id, wanted) is TaskState.PENDING
    row = live_row(direct, task.id)
    assert (row.priority, row.queue_name, row.max_retries) == (9, "other", 7)
    assert row.metadata == {"a": 1, "c": "x"}


async def test_metadata_whose_last_key_is_removed_is_none(store, direct):
    [task] = await store.enqueue([new_task(metadata={"a": 1})])
    await store.run(change, task.id, Changes(metadata={"a": None}))
    assert live_row(direct, task.id).metadata is None


async def test_a_blocked_task_can_be_changed_and_stays_blocked(store, direct):
    [task] = await store.enqueue([new_task()])
    await change_task(store, task.id, state="blocked")
    assert await store.run(change, task.id, Changes(priority=3)) is TaskState.BLOCKED
    assert (live_row(direct, task.id).state, live_row(direct, task.id).priority) == ("blocked", 3)


async def test_a_task_put_off_is_not_claimed_and_one_brought_forward_is(store):
    [one, other] = await store.enqueue([new_task(), new_task(delay=timedelta(days=1))])
    await store.run(change, one.id, Changes(delay="1h"))
    await store.run(change, other.id, Changes(at=datetime(2001, 1, 1, tzinfo=UTC)))
    store.levels.forget()
    assert ids(await claim_all(store)) == [other.id]


async def test_a_delay_counts_from_the_databases_now(store, direct):
    [task] = await store.enqueue([new_task()])
    await store.run(change, task.id, Changes(delay=timedelta(hours=2)))
    row = live_row(direct, task.id)
    assert timedelta(hours=2) <= row.scheduled_at - row.created_at < timedelta(hours=2, minutes=1)


@pytest.mark.parametrize("ending", [None, DONE, Cancelled("stopped"), "dead"])
async def test_what_runs_or_has_ended_is_left_alone_and_named(store, ending):
    if ending == "dead":
        task = await bury(store)
    else:
        task = await enqueue_and_claim(store)
        if ending is not None:
            await settle(store, task, ending)
    before = await store.run(inspect.task, task.id)
    found = await store.run(change, task.id, Changes(priority=9))
    assert found is before.state
    assert found not in CHANGEABLE
    assert await store.run(inspect.task, task.id) == before


async def test_a_task_that_never_was_is_nothing(store):
    assert await store.run(change, new_id(), Changes(priority=9)) is None


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_a_change_waits_for_the_claim_that_came_first_and_then_leaves_the_task(store, direct):
    [task] = await store.enqueue([new_task()])
    with ThreadPoolExecutor(1) as threads, direct.engine.begin() as connection:
        transaction = direct.transaction(connection)
        assert ids(transaction.claim(WORKER, any_queue(1), Levels())) == [task.id]
        changing = threads.submit(direct.run, change, task.id, Changes(priority=9))
        assert not changing.done()
        connection.commit()
        assert changing.result(10) is TaskState.PROCESSING
    assert live_row(direct, task.id).priority == 0


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_a_claim_passes_over_a_task_that_is_being_changed(store, direct):
    [task] = await store.enqueue([new_task()])
    with direct.engine.begin() as connection:
        change(direct.transaction(connection), task.id, Changes(delay="1h"))
        assert await store.claim(WORKER, any_queue(1)) == []
    store.levels.forget()
    assert await store.claim(WORKER, any_queue(1)) == []


async def test_claims_and_changes_at_once_leave_each_task_with_one_of_them(store, open_store):
    another = await open_store()
    added = await store.enqueue(new_tasks(40))

    async def put_off():
        return [await another.run(change, one.id, Changes(delay="1h")) for one in added]

    claimed, found = await asyncio.gather(claim_all(store), put_off())
    put = {one.id for one, state in zip(added, found, strict=True) if state is TaskState.PENDING}
    assert put.isdisjoint(ids(claimed))
    assert put | set(ids(claimed)) == set(ids(added))


# --- many ---


async def test_many_are_moved_in_batches_and_nothing_else_is(store, direct):
    running = await enqueue_and_claim(store)
    waiting = await store.enqueue(
        [*new_tasks(3), new_task(delay=timedelta(days=1)), new_task(name="other")]
    )
    wanted = TaskFilter(queue="default", name="send")
    moved, last = [], None
    while batch := await store.run(change_many, wanted, Changes(queue="b"), limit=3, after=last):
        moved += batch
        last = batch[-1]
    assert moved == ids(waiting[:4])
    assert {live_row(direct, task_id).queue_name for task_id in moved} == {"b"}
    assert live_row(direct, running.id).queue_name == "default"
    assert live_row(direct, waiting[4].id).queue_name == "default"


async def test_two_who_move_the_same_tasks_move_each_once(store, open_store):
    another = await open_store()
    await store.enqueue(new_tasks(30))
    wanted = TaskFilter(queue="default")

    async def move(by, to):
        moved = []
        while batch := await by.run(change_many, wanted, Changes(queue=to), limit=4):
            moved += batch
        return moved

    one, other = await asyncio.gather(move(store, "a"), move(another, "b"))
    assert len(one) + len(other) == 30
    assert not set(one) & set(other)
    assert len(await store.claim(WORKER, Demand(50, {"a": 50, "b": 50}))) == 30


# --- what is refused ---


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "nothing is to be changed"),
        ({"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1}, "choose one"),
        ({"at": datetime(2030, 1, 1)}, "no time zone"),
        ({"priority": 2**31}, "32 bits"),
        ({"queue": "a b"}, "cannot name a queue"),
        ({"max_retries": -1}, "between 0 and"),
        ({"delay": "soon"}, "delay"),
    ],
)
def test_bad_values_are_refused_before_anything_is_written(values, problem):
    with pytest.raises(ConfigurationError, match=problem):
        Changes(**values)


def test_metadata_that_is_no_json_is_refused():
    with pytest.raises(PayloadError):
        Changes(metadata={"a": object()})
