"""Tasks of workers that are gone run again, or end where a person finds them."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import delete, null

from celers_worker.core.task import Enqueued, TaskState
from celers_worker.store import control, inspect, maintenance, sql, survey
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.schema import workers
from tests.store.steps import (
    BROKEN,
    WORKER,
    any_queue,
    change_task,
    claim_all,
    claim_one,
    enqueue_and_claim,
    ids,
    live_row,
    live_rows,
    lose_worker,
    lost_task,
    new_task,
    new_tasks,
    settle,
    start_worker,
)


async def reap(store, *, max_crashes=3, **changes):
    return await store.run(maintenance.reap, max_crashes=max_crashes, **changes)


async def forget_worker(store, worker=WORKER):
    """Delete the worker's row, as a person in a hurry does."""
    await store.run(
        lambda transaction: (
            transaction.connection.execute(delete(workers).where(workers.c.id == worker)) and None
        )
    )


async def test_a_task_of_a_lost_worker_is_pending_again_at_its_old_place(store, direct):  # T13
    task = await lost_task(store)
    before = live_row(direct, task.id)
    reaped = await reap(store)
    assert (reaped.released, reaped.buried, reaped.more) == ([task.id], [], False)
    row = live_row(direct, task.id)
    assert (row.state, row.worker_id, row.started_at) == (TaskState.PENDING, None, None)
    assert (row.retry_count, row.crash_count) == (0, 1)
    assert (row.scheduled_at, row.lease > before.lease) == (before.scheduled_at, True)
    assert row.error_message == f"WorkerLost: worker {WORKER} stopped renewing its lease"


async def test_a_reaped_task_runs_as_the_next_attempt(store):
    task = await lost_task(store)
    await reap(store)
    again = await claim_one(store, "another")
    assert (again.id, again.attempt) == (task.id, 2)
    [attempt] = await store.run(inspect.attempts_of, task.id)
    assert (attempt.number, attempt.error_type, attempt.worker) == (1, "WorkerLost", WORKER)
    assert attempt.started_at <= attempt.failed_at


async def test_a_lost_worker_is_marked_and_stays_listed(store):
    await lost_task(store)
    await reap(store)
    [view] = await store.run(survey.list_workers)
    assert (view.state, view.running) == ("lost", 0)


@pytest.mark.parametrize("orphans", [False, True])
async def test_a_live_workers_tasks_are_never_touched(store, direct, orphans):  # T13
    await start_worker(store, "alive")
    task = await enqueue_and_claim(store, "alive")
    # However long the run takes: the lease is the worker's, not the task's age.
    await change_task(store, task.id, started_at=sql.later(-86_400))
    before = live_row(direct, task.id)
    assert not (await reap(store, orphans=orphans)).released
    assert live_row(direct, task.id) == before


async def test_a_claim_never_settled_and_never_renewed_is_reaped(store):  # T23
    await start_worker(store, lease=timedelta(0))
    task = await enqueue_and_claim(store)
    assert (await reap(store)).released == [task.id]


async def test_tasks_whose_workers_row_is_gone_are_found_by_the_orphan_sweep(store):  # T30
    await start_worker(store)
    task = await enqueue_and_claim(store)
    await forget_worker(store)
    assert (await reap(store)).released == []
    assert (await reap(store, orphans=True)).released == [task.id]


async def test_orphans_of_a_queue_that_nobody_serves_are_found_too(store):  # T30
    task = await lost_task(store, queue="abandoned")
    await start_worker(store, "alive")
    assert (await reap(store)).released == [task.id]


async def test_a_task_claimed_by_a_worker_already_marked_lost_is_found(store):
    # It claimed, was declared lost while the claim was under way, and died.
    await start_worker(store, lease=timedelta(0))
    await reap(store)
    task = await enqueue_and_claim(store)
    assert (await reap(store, orphans=True)).released == [task.id]


async def test_a_claim_by_a_foreign_worker_is_left_alone_for_an_hour(store):
    task = await enqueue_and_claim(store)
    await change_task(store, task.id, worker_id=null())
    assert (await reap(store, orphans=True)).released == []
    await change_task(store, task.id, started_at=sql.later(-3_601))
    assert (await reap(store, orphans=True)).released == [task.id]


async def test_a_crash_on_the_last_attempt_is_final_and_frees_the_key(store):  # T22
    task = await lost_task(store, max_retries=0, unique_key="k")
    reaped = await reap(store)
    assert (reaped.released, reaped.buried) == ([], [task.id])
    view = await store.run(inspect.task, task.id)
    assert (view.state, view.crash_count, view.attempt) == (TaskState.FAILED, 1, 1)
    assert view.reason == "attempt 1 of 1 died with its worker"
    assert view.error.startswith("WorkerLost")
    fresh = new_task(unique_key="k")
    assert await store.enqueue([fresh]) == [Enqueued(fresh.id)]


async def test_failed_runs_and_crashed_runs_share_the_attempts(store):
    task = await enqueue_and_claim(store, max_retries=1)
    await settle(store, task, BROKEN)
    await start_worker(store)
    assert (await claim_one(store)).is_last_attempt
    await lose_worker(store)
    assert (await reap(store, max_crashes=9)).buried == [task.id]
    attempts = await store.run(inspect.attempts_of, task.id)
    assert [attempt.error_type for attempt in attempts] == ["ValueError", "WorkerLost"]
    assert [attempt.number for attempt in attempts] == [1, 2]


async def test_a_task_that_keeps_killing_its_workers_is_poison(store):  # T13 T24
    task_id = (await store.enqueue([new_task(max_retries=1_000)]))[0].id
    for number in (1, 2, 3):
        worker = await start_worker(store, f"w{number}")
        assert (await claim_one(store, worker)).attempt == number
        await lose_worker(store, worker)
        reaped = await reap(store, max_crashes=3)
        assert bool(reaped.buried) == (number == 3)
    view = await store.run(inspect.task, task_id)
    assert (view.state, view.crash_count) == (TaskState.FAILED, 3)
    assert view.reason == "poison: 3 workers died with it"
    assert len(await store.run(inspect.attempts_of, task_id)) == 3


async def test_a_suspect_that_had_not_begun_is_not_blamed_for_the_end_of_its_worker(store, direct):
    poison, innocent = ids(await store.enqueue(new_tasks(2, max_retries=1_000)))
    for number in (1, 2, 3, 4):
        worker = await start_worker(store, f"w{number}", isolates=True)
        held = {task.id: task for task in await claim_all(store, worker)}
        assert set(held) == {poison, innocent}
        if number == 4:  # only then the poison has its turn
            assert await store.run(maintenance.mark_suspect, worker, held[poison])
        await lose_worker(store, worker)
        assert not await store.run(maintenance.mark_suspect, worker, held[innocent]), "too late"
        reaped = await reap(store, max_crashes=3)
        assert reaped.buried == ([poison] if number == 4 else [])
    assert live_row(direct, innocent).crash_count == 2
    assert len(await store.run(inspect.attempts_of, innocent)) == 2
    assert len(await store.run(inspect.attempts_of, poison)) == 3


async def test_a_suspect_that_is_claimed_again_has_to_be_marked_again(store, direct):
    task_id = (await store.enqueue([new_task(max_retries=1_000)]))[0].id
    for number in (1, 2):
        await claim_one(store, worker := await start_worker(store, f"w{number}"))
        await lose_worker(store, worker)
        await reap(store)
    worker = await start_worker(store, "w3", isolates=True)
    task = await claim_one(store, worker)
    assert await store.run(maintenance.mark_suspect, worker, task)
    assert await store.run(maintenance.mark_suspect, worker, task), "its first answer was lost"
    assert await settle(store, task, BROKEN, worker)
    await claim_one(store, worker)
    await lose_worker(store, worker)
    assert (await reap(store)).buried == []
    assert live_row(direct, task_id).crash_count == 2


async def test_what_was_seen_of_a_workers_end_is_told_and_its_lease_is_not_waited_for(store):
    # T24
    for number in (1, 2, 3):
        worker = await start_worker(store, f"w{number}")
        if number == 1:
            task_id = (await store.enqueue([new_task(max_retries=1_000)]))[0].id
        await claim_one(store, worker)
        await store.run(maintenance.note_end, worker, "SIGKILL" if number > 1 else "status 137")
        assert not await store.run(maintenance.renew, worker, timedelta(seconds=30))
        await reap(store, max_crashes=3)
    view = await store.run(inspect.task, task_id)
    assert view.reason == "poison: 3 workers died with it, the last one of SIGKILL"
    assert (view.worker, view.error) == ("w3", "WorkerLost: worker w3 ended: SIGKILL")
    attempts = await store.run(inspect.attempts_of, task_id)
    assert [attempt.error_message for attempt in attempts] == [
        "worker w1 ended: status 137",
        "worker w2 ended: SIGKILL",
        "worker w3 ended: SIGKILL",
    ]


async def test_the_end_of_a_worker_that_is_told_late_changes_nothing_of_its_lease(store):
    worker = await start_worker(store)
    await lose_worker(store)
    before = (await store.run(survey.list_workers))[0]
    await store.run(maintenance.note_end, worker, "SIGSEGV")
    await store.run(maintenance.note_end, "nobody", "SIGSEGV")
    after = (await store.run(survey.list_workers))[0]
    assert (after.state, after.id) == (before.state, worker)


async def test_an_orphan_that_was_to_be_cancelled_is_cancelled(store, direct):
    task = await lost_task(store)
    await store.run(control.cancel, TaskFilter(ids=[task.id]), "user left")
    reaped = await reap(store)
    assert (reaped.released, reaped.buried) == ([], [])
    view = await store.run(inspect.task, task.id)
    assert (view.state, view.error) == (TaskState.CANCELLED, "user left")
    assert live_rows(direct) == []


async def test_two_reapers_at_once_take_each_task_back_once(store, open_store, direct):
    await start_worker(store)
    await store.enqueue(new_tasks(200))
    claimed = await claim_all(store)
    await lose_worker(store)
    reapers = [await open_store() for _ in range(4)]
    reaped = await asyncio.gather(*(reap(each) for each in reapers))
    released = [task_id for one in reaped for task_id in one.released]
    assert sorted(released) == sorted(ids(claimed))
    assert {row.crash_count for row in live_rows(direct)} == {1}


async def test_a_reap_takes_a_batch_and_says_that_there_is_more(store):
    await start_worker(store)
    await store.enqueue(new_tasks(25))
    await claim_all(store)
    await lose_worker(store)
    batches = [await reap(store, limit=10) for _ in range(4)]
    assert [len(batch.released) for batch in batches] == [10, 10, 5, 0]
    assert [batch.more for batch in batches] == [True, True, False, False]


async def test_tasks_of_live_workers_do_not_fill_the_batch(store):
    await start_worker(store, "alive")
    await store.enqueue(new_tasks(60))
    await claim_all(store, "alive")
    lost = await lost_task(store)
    assert (await reap(store, limit=10)).released == [lost.id]
    await forget_worker(store)
    assert (await reap(store, limit=10, orphans=True)).released == []


async def test_a_reaped_task_does_not_wait_behind_fresh_ones(store):
    await store.enqueue([new_task(priority=5)])
    orphan = await claim_one(store, "gone")
    await store.enqueue(new_tasks(20, priority=5))
    await reap(store, orphans=True)
    store.levels.forget()
    assert (await store.claim(WORKER, any_queue(1)))[0].id == orphan.id


async def test_a_task_that_completes_while_it_is_reaped_ends_once(store, open_store, direct):
    reaper = await open_store()
    for _ in range(10):
        task = await lost_task(store)
        written, reaped = await asyncio.gather(settle(store, task), reap(reaper))
        assert written != (task.id in reaped.released)
        await store.run(maintenance.deregister, WORKER)
        await claim_all(store, "cleaner")
        await store.run(maintenance.recover, "cleaner", [])
        await store.run(control.purge_queue, "default")
    assert live_rows(direct) == []
