"""A worker's row is its lease: while it is renewed, nobody touches the worker's tasks."""

from datetime import timedelta

import pytest

from celers_worker.core.errors import StoreError
from celers_worker.core.outcome import Release
from celers_worker.core.task import TaskState, new_id
from celers_worker.store import control, maintenance, survey
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.maintenance import Lease
from tests.store.steps import (
    LEASE,
    WORKER,
    claim_all,
    claim_one,
    enqueue_and_claim,
    ids,
    live_row,
    lose_worker,
    new_tasks,
    settle,
    start_worker,
    worker_card,
)


async def renew(store, worker=WORKER, **changes):
    return await store.run(maintenance.renew, worker, LEASE, **changes)


async def only_worker(store):
    [view] = await store.run(survey.list_workers)
    return view


async def test_a_registered_worker_is_listed_as_it_describes_itself(store):
    card = worker_card(name="máil-1 😀", queues=["a", "b"], handlers=["x", "y"], concurrency=16)
    await store.run(maintenance.register, card, LEASE)
    view = await only_worker(store)
    assert (view.id, view.name, view.host, view.pid) == (WORKER, "máil-1 😀", "host-1", 4711)
    assert (view.queues, view.handlers, view.concurrency) == (["a", "b"], ["x", "y"], 16)
    assert (view.version, view.state, view.running) == ("1.0", "running", 0)
    assert -1 < view.age < 5


async def test_a_worker_is_registered_once(store):
    await start_worker(store)
    with pytest.raises(StoreError):
        await start_worker(store)


async def test_a_worker_that_comes_back_under_its_name_is_another(store):
    # Its predecessor's tasks must not look alive because a pod has the same name.
    await start_worker(store, "before")
    await start_worker(store, "after")
    await lose_worker(store, "before")
    views = await store.run(survey.list_workers)
    assert {(view.id, view.name, view.state) for view in views} == {
        ("before", "mail-1", "lost"),
        ("after", "mail-1", "running"),
    }


async def test_a_renewed_lease_says_what_its_worker_does(store):
    await start_worker(store)
    assert await renew(store, running=5, state="stopping")
    view = await only_worker(store)
    assert (view.running, view.state) == (5, "stopping")


async def test_a_lease_that_is_renewed_does_not_run_out(store):
    await start_worker(store, lease=timedelta(seconds=5))
    task = await enqueue_and_claim(store)
    assert await store.run(
        maintenance.renew, WORKER, timedelta(hours=1), running=1, state="running"
    )
    assert not (await store.run(maintenance.reap, max_crashes=3, orphans=True)).released
    assert await settle(store, task)


async def test_a_lease_that_ran_out_is_never_renewed(store):
    await start_worker(store)
    await lose_worker(store)
    assert not await renew(store, running=1, state="running")
    assert (await only_worker(store)).state == "lost"


async def test_a_lease_without_a_worker_is_not_renewed(store):
    assert not await renew(store, "nobody", running=0, state="running")


async def test_a_worker_that_left_is_not_listed(store):
    await start_worker(store)
    await start_worker(store, "another")
    await store.run(maintenance.deregister, WORKER)
    assert (await only_worker(store)).id == "another"


# --- what the database says a worker holds ---


async def test_leases_are_told_by_task(store):
    await store.enqueue(new_tasks(3))
    first, second, third = await claim_all(store)
    await settle(store, second)
    await settle(store, third, Release())
    assert await store.run(maintenance.leases, ids([first, second, third])) == {
        first.id: Lease(1, None),
        third.id: Lease(2, None),
    }


async def test_a_lease_tells_why_its_task_should_stop(store):
    task = await enqueue_and_claim(store)
    await store.run(control.cancel, TaskFilter(ids=[task.id]), "user left")
    assert await store.run(maintenance.leases, [task.id]) == {task.id: Lease(1, "user left")}


async def test_leases_of_more_tasks_than_one_statement_takes(store):
    await store.enqueue(new_tasks(1_200))
    claimed = await claim_all(store)
    found = await store.run(maintenance.leases, [*ids(claimed), new_id()])
    assert found == {task.id: Lease(1, None) for task in claimed}


# --- claims whose answer was lost ---


async def test_a_worker_gives_back_what_it_holds_but_does_not_know_of(store, direct):
    await start_worker(store)
    known, lost = await store.enqueue(new_tasks(2))
    await claim_all(store)
    before = live_row(direct, lost.id)
    assert await store.run(maintenance.recover, WORKER, [known.id]) == 1
    row = live_row(direct, lost.id)
    assert (row.state, row.worker_id) == (TaskState.PENDING, None)
    assert (row.retry_count, row.crash_count) == (0, 0)
    assert row.scheduled_at == before.scheduled_at
    assert live_row(direct, known.id).state == TaskState.PROCESSING


async def test_a_recovered_task_runs_again_as_its_first_attempt(store):
    lost = await enqueue_and_claim(store)
    await store.run(maintenance.recover, WORKER, [])
    again = await claim_one(store)
    assert (again.id, again.attempt, again.lease > lost.lease) == (lost.id, 1, True)
    assert not await settle(store, lost)


async def test_a_worker_recovers_nothing_of_another(store, direct):
    task = await enqueue_and_claim(store, "another")
    assert await store.run(maintenance.recover, WORKER, []) == 0
    assert live_row(direct, task.id).worker_id == "another"
