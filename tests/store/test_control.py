"""What a person asks for: cancel, retry, pause, purge."""

from datetime import timedelta

import pytest

from celers_worker.core.errors import CelersError
from celers_worker.core.outcome import Cancelled, Expired, Retry
from celers_worker.core.task import Demand, TaskState, new_id
from celers_worker.store import control, inspect, maintenance, survey
from celers_worker.store.inspect import TaskFilter
from tests.store.steps import (
    BROKEN,
    DONE,
    FAILURE,
    WORKER,
    any_queue,
    bury,
    change_task,
    claim_all,
    claim_one,
    enqueue_and_claim,
    ids,
    live_row,
    live_rows,
    new_task,
    new_tasks,
    settle,
)


async def state_of(store, task_id):
    view = await store.run(inspect.task, task_id)
    return view.state


async def cancel(store, reason="not wanted", *, limit=500, **wanted):
    return await store.run(control.cancel, TaskFilter(**wanted), reason, limit=limit)


async def retry(store, task):
    return await store.run(control.retry, task.id)


# --- cancel ---


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=1)])
async def test_a_waiting_task_is_cancelled_at_once(store, delay):  # T28
    [waiting] = await store.enqueue([new_task(delay=delay)])
    cancellation = await cancel(store, "user left", ids=[waiting.id])
    assert (cancellation.cancelled, cancellation.requested) == ([waiting.id], [])
    view = await store.run(inspect.task, waiting.id)
    assert (view.state, view.error) == (TaskState.CANCELLED, "user left")
    assert view.completed_at is not None
    assert await claim_all(store) == []


async def test_a_blocked_task_is_cancelled_at_once(store):
    [waiting] = await store.enqueue([new_task()])
    await change_task(store, waiting.id, state=TaskState.BLOCKED.value)
    assert (await cancel(store, ids=[waiting.id])).cancelled == [waiting.id]
    assert await state_of(store, waiting.id) is TaskState.CANCELLED


async def test_a_running_task_is_asked_to_stop(store, direct):  # T28
    task = await enqueue_and_claim(store)
    cancellation = await cancel(store, "r" * 300, ids=[task.id])
    assert (cancellation.cancelled, cancellation.requested) == ([], [task.id])
    row = live_row(direct, task.id)
    assert (row.state, row.cancel_reason) == (TaskState.PROCESSING, "r" * 255)
    assert row.lease == task.lease


async def test_a_running_task_is_asked_only_once(store):
    task = await enqueue_and_claim(store)
    await cancel(store, "first", ids=[task.id])
    second = await cancel(store, "second", ids=[task.id])
    assert (second.cancelled, second.requested) == ([], [])


@pytest.mark.parametrize("outcome", [DONE, Cancelled("before"), Expired()])
async def test_a_finished_task_is_not_cancelled(store, outcome):  # T28
    task = await enqueue_and_claim(store)
    await settle(store, task, outcome)
    before = await store.run(inspect.task, task.id)
    cancellation = await cancel(store, ids=[task.id])
    assert (cancellation.cancelled, cancellation.requested) == ([], [])
    assert await store.run(inspect.task, task.id) == before


async def test_a_dead_task_is_not_cancelled(store):
    task = await bury(store)
    assert (await cancel(store, ids=[task.id])).cancelled == []
    assert await state_of(store, task.id) is TaskState.FAILED


async def test_tasks_are_cancelled_by_what_they_have_in_common(store, direct):
    keep = await store.enqueue([new_task(queue="a"), new_task(name="x"), new_task()])
    hit = await store.enqueue([new_task(queue="a", name="x", fingerprint="f")])
    cancellation = await cancel(store, queue="a", name="x", fingerprint="f")
    assert cancellation.cancelled == ids(hit)
    assert ids(live_rows(direct)) == ids(keep)


async def test_cancelling_many_goes_in_batches(store, direct):
    await store.enqueue(new_tasks(25))
    counts = [len((await cancel(store, limit=10, name="send")).cancelled) for _ in range(4)]
    assert counts == [10, 10, 5, 0]
    assert live_rows(direct) == []


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
async def test_a_cancelled_run_is_told_to_the_workers_that_listen(store, open_store):
    listener = await open_store()
    wakeups = listener.wakeups()
    await anext(wakeups)
    task = await enqueue_and_claim(store)
    await cancel(store, ids=[task.id])
    while not (await anext(wakeups)).control:
        pass
    assert (await listener.run(maintenance.leases, [task.id]))[task.id].cancel_reason
    await wakeups.aclose()


# --- retry ---


async def test_a_task_that_waits_for_its_retry_is_due_at_once(store):
    task = await enqueue_and_claim(store)
    await settle(store, task, Retry(timedelta(hours=1), FAILURE))
    assert await retry(store, task) is TaskState.PENDING
    assert (await claim_one(store)).attempt == 2


async def test_a_retried_run_keeps_its_number_when_hurried(store, direct):
    task = await enqueue_and_claim(store)
    await settle(store, task, BROKEN)
    await retry(store, task)
    assert live_row(direct, task.id).retry_count == 1


async def test_a_running_task_is_not_retried(store, direct):
    task = await enqueue_and_claim(store)
    before = live_row(direct, task.id)
    assert await retry(store, task) is TaskState.PROCESSING
    assert live_row(direct, task.id) == before


async def test_a_blocked_task_still_waits_for_the_others(store, direct):
    [waiting] = await store.enqueue([new_task()])
    await change_task(store, waiting.id, state=TaskState.BLOCKED.value)
    assert await retry(store, waiting) is TaskState.BLOCKED
    assert live_row(direct, waiting.id).state == TaskState.BLOCKED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Cancelled("before"), TaskState.CANCELLED), (Expired(), TaskState.EXPIRED)],
)
async def test_a_task_that_ended_unrun_starts_anew(store, outcome, state):
    old = await enqueue_and_claim(store, expires=timedelta(hours=1))
    await settle(store, old, outcome)
    assert await retry(store, old) is state
    new = await claim_one(store)
    assert (new.id, new.attempt, new.expired) == (old.id, 1, False)
    assert new.lease > old.lease
    await settle(store, new)
    assert await store.run(inspect.count_tasks, TaskFilter()) == 1


async def test_a_dead_task_starts_anew_with_all_its_attempts(store):
    old = await bury(store, max_retries=2)
    assert await retry(store, old) is TaskState.FAILED
    new = await claim_one(store)
    assert (new.id, new.attempt, new.max_retries) == (old.id, 1, 2)
    assert await store.run(inspect.count_tasks, TaskFilter()) == 1


async def test_a_completed_task_is_not_retried(store):
    task = await enqueue_and_claim(store)
    await settle(store, task)
    assert await retry(store, task) is TaskState.COMPLETED
    assert await claim_all(store) == []


async def test_a_task_that_never_was_is_not_retried(store):
    assert await store.run(control.retry, new_id()) is None


@pytest.mark.parametrize("outcome", [Cancelled("before"), None])
async def test_a_task_whose_key_another_has_is_not_retried_but_told_of(store, outcome):
    if outcome is None:
        old = await bury(store, unique_key="k")
    else:
        old = await enqueue_and_claim(store, unique_key="k")
        await settle(store, old, outcome)
    before = await store.run(inspect.task, old.id)
    [owner] = await store.enqueue([new_task(unique_key="k")])
    with pytest.raises(CelersError, match="a live task has its unique key 'k'"):
        await retry(store, old)
    assert await store.run(inspect.task, old.id) == before
    assert ids(await claim_all(store)) == [owner.id]


# --- pause ---


async def test_a_pause_stops_the_claims_of_every_worker_at_once(store, open_store):  # T11
    another = await open_store()
    await store.enqueue(new_tasks(10))
    assert len(await store.claim("w1", any_queue(3))) == 3
    assert len(await another.claim("w2", Demand(3, {"default": 3}))) == 3
    await store.run(control.pause, "default", "deploying")
    assert await store.claim("w1", any_queue(3)) == []
    assert await another.claim("w2", Demand(3, {"default": 3})) == []


async def test_a_resumed_queue_is_served_again(store, open_store):  # T11
    another = await open_store()
    added = await store.enqueue(new_tasks(3))
    await store.run(control.pause, "default", None)
    assert await another.claim(WORKER, any_queue(3)) == []
    assert await store.run(control.resume, "default")
    assert ids(await another.claim(WORKER, any_queue(3))) == ids(added)


async def test_running_tasks_of_a_paused_queue_end_and_new_ones_wait(store):
    task = await enqueue_and_claim(store)
    await store.run(control.pause, "default", None)
    assert await settle(store, task)
    await store.enqueue([new_task()])
    assert await claim_all(store) == []


async def test_a_queue_without_tasks_can_be_paused_beforehand(store):
    await store.run(control.pause, "later", None)
    await store.enqueue([new_task(queue="later")])
    assert await claim_all(store) == []


async def test_a_second_pause_keeps_the_time_and_takes_the_reason(store):
    await store.run(control.pause, "default", "first")
    [before] = await store.run(survey.list_queues)
    await store.run(control.pause, "default", "s" * 300)
    [after] = await store.run(survey.list_queues)
    assert (before.paused_reason, after.paused_reason) == ("first", "s" * 255)
    assert after.paused_at == before.paused_at is not None


@pytest.mark.parametrize("queue", ["never-seen", "resumed"])
async def test_a_queue_that_is_not_paused_cannot_be_resumed(store, queue):
    await store.run(control.pause, "resumed", None)
    await store.run(control.resume, "resumed")
    assert not await store.run(control.resume, queue)


async def test_pausing_one_queue_pauses_no_other(store):  # T4
    await store.run(control.pause, "a", None)
    await store.enqueue([new_task(queue=queue) for queue in ("A", "a", "á", "ab", "b")])
    assert {task.queue for task in await claim_all(store)} == {"A", "á", "ab", "b"}


# --- purge ---


async def test_a_purged_queue_ends_as_cancelled_in_the_archive(store, direct):
    running = await enqueue_and_claim(store)
    waiting = await store.enqueue([*new_tasks(2), new_task(delay=timedelta(days=1))])
    elsewhere = await store.enqueue([new_task(queue="b")])
    assert await store.run(control.purge_queue, "default") == 3
    assert ids(live_rows(direct)) == [running.id, *ids(elsewhere)]
    for task in waiting:
        view = await store.run(inspect.task, task.id)
        assert (view.state, view.error) == (TaskState.CANCELLED, "purged")


async def test_a_large_queue_is_purged_in_batches(store):
    await store.enqueue(new_tasks(25))
    counts = [await store.run(control.purge_queue, "default", limit=10) for _ in range(4)]
    assert counts == [10, 10, 5, 0]
