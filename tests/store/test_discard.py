"""A store that keeps no completed tasks deletes them where others archive them."""

from datetime import timedelta

import pytest

from celers_worker.core.outcome import Cancelled, Completed, Expired, Release, Settlement
from celers_worker.core.payload import encode_result
from celers_worker.core.task import TaskState
from celers_worker.store import StoreOptions, inspect, pruning
from celers_worker.store.results import Ending, ending_of
from tests.store.steps import (
    BROKEN,
    DONE,
    GONE_WRONG,
    WORKER,
    claim_all,
    enqueue_and_claim,
    ids,
    live_rows,
    new_task,
    new_tasks,
    settle,
)


@pytest.fixture
async def forgetful(open_store):
    return await open_store(StoreOptions(keep_completed=False))


async def test_a_completed_task_leaves_nothing(forgetful, direct):
    await forgetful.enqueue(new_tasks(3))
    tasks = await claim_all(forgetful)
    settled = await forgetful.settle(WORKER, [Settlement(task, DONE) for task in tasks])
    assert sorted(settled) == ids(tasks)
    assert live_rows(direct) == []
    assert [await forgetful.run(inspect.task, task.id) for task in tasks] == [None] * 3
    assert await forgetful.run(ending_of, tasks[0].id) is None


async def test_what_it_returned_is_kept_and_tells_that_it_completed(forgetful):
    task = await enqueue_and_claim(forgetful)
    assert await settle(forgetful, task, Completed(encode_result({"sum": 3})))
    assert await forgetful.run(inspect.task, task.id) is None
    assert await forgetful.run(ending_of, task.id) == Ending(
        state=TaskState.COMPLETED, result=encode_result({"sum": 3})
    )


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Cancelled("stopped"), TaskState.CANCELLED),
        (Expired(), TaskState.EXPIRED),
        (GONE_WRONG, TaskState.FAILED),
        (BROKEN, TaskState.PENDING),
    ],
)
async def test_every_other_outcome_is_kept_as_ever(forgetful, outcome, state):
    task = await enqueue_and_claim(forgetful)
    assert await settle(forgetful, task, outcome)
    assert (await forgetful.run(inspect.task, task.id)).state is state


async def test_a_lost_lease_deletes_nothing(forgetful):
    task = await enqueue_and_claim(forgetful)
    await settle(forgetful, task, Release())
    assert not await settle(forgetful, task)
    assert not await settle(forgetful, task, Completed(b"1"))
    assert (await forgetful.run(inspect.task, task.id)).state is TaskState.PENDING
    assert (await forgetful.run(ending_of, task.id)).value is None


async def test_a_unique_key_is_free_again(forgetful):
    task = await enqueue_and_claim(forgetful, unique_key="a")
    [refused] = await forgetful.enqueue([new_task(unique_key="a")])
    assert refused.existing
    await settle(forgetful, task)
    [added] = await forgetful.enqueue([new_task(unique_key="a")])
    assert not added.existing


async def test_a_result_outlives_its_archived_task_as_long_as_its_own_retention(store):
    task = await enqueue_and_claim(store)
    await settle(store, task, Completed(b"7"))
    week = timedelta(days=7)
    kinds = ("completed", "cancelled", "expired", "dead", "results")
    retention = dict.fromkeys(kinds, week) | {"completed": timedelta(seconds=-1)}
    await store.run(pruning.prune, retention)
    assert await store.run(inspect.task, task.id) is None
    assert (await store.run(ending_of, task.id)).value == 7
