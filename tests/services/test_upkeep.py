"""The reaper, the janitor and the surveyor: what they do is the store's, here is who is told."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import select

from celers_worker import Celers
from celers_worker.core.events import (
    DutyDone,
    FrozenSessionsEnded,
    QueuesCounted,
    TasksPruned,
    TasksReaped,
)
from celers_worker.core.outcome import Completed
from celers_worker.core.task import TaskState
from celers_worker.services.service import Service
from celers_worker.store import Store
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import tasks, workers
from celers_worker.store.upkeep import finish
from tests.services.conftest import MakeStaff
from tests.services.crews import Staff
from tests.store import steps
from tests.store.steps import execute, live_row, lose_worker, start_worker
from tests.waiting import eventually


def upkeep(staff: Staff, name: str) -> Service:
    [service] = [service for service in staff.crew.upkeep if service.name == name]
    return service


async def test_the_tasks_of_a_lost_worker_are_given_back_and_told_of(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    task = await steps.lost_task(store)
    staff = await make_staff(Celers())
    assert not await upkeep(staff, "reaper").tick()
    assert staff.seen.one(TasksReaped).released == [task.id]
    row = live_row(direct, task.id)
    assert (row.state, row.crash_count, row.retry_count) == (TaskState.PENDING, 1, 0)


async def test_a_task_that_lost_too_many_workers_is_buried(
    make_staff: MakeStaff, store: Store
) -> None:
    # T13, T24
    staff = await make_staff(Celers(), max_crashes=2)
    task = await steps.lost_task(store, max_retries=100)
    await upkeep(staff, "reaper").tick()
    await start_worker(store, "second")
    [again] = await steps.claim_all(store, "second")
    assert again.id == task.id
    await lose_worker(store, "second")
    await upkeep(staff, "reaper").tick()
    first, second = staff.seen.of(TasksReaped)
    assert (first.released, first.buried) == ([task.id], [])
    assert (second.released, second.buried) == ([], [task.id])


async def test_the_tasks_of_live_workers_are_left_alone(
    make_staff: MakeStaff, store: Store
) -> None:
    # T13
    await start_worker(store)
    await steps.enqueue_and_claim(store)
    staff = await make_staff(Celers())
    for _ in range(13):
        await upkeep(staff, "reaper").tick()
    assert not staff.seen.of(TasksReaped)


async def test_a_task_whose_workers_row_is_gone_is_found_by_a_thorough_look(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    # T30
    await start_worker(store)
    staff = await make_staff(Celers())
    await upkeep(staff, "reaper").tick()
    task = await steps.enqueue_and_claim(store)
    execute(direct, "DELETE FROM celers_workers")
    for _ in range(12):
        await upkeep(staff, "reaper").tick()
    assert staff.seen.one(TasksReaped).released == [task.id]


async def test_two_reapers_give_a_task_back_once(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    task = await steps.lost_task(store)
    one, other = await make_staff(Celers()), await make_staff(Celers())
    for staff in (one, other):
        await upkeep(staff, "reaper").tick()
    told = [*one.seen.of(TasksReaped), *other.seen.of(TasksReaped)]
    assert [event.released for event in told] == [[task.id]]
    assert live_row(direct, task.id).crash_count == 1


async def test_what_is_past_its_retention_is_pruned_and_told_of(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    staff = await make_staff(Celers(), retention__completed="0s", retention__results="0s")
    for _ in range(3):
        task = await steps.enqueue_and_claim(store)
        await steps.settle(store, task, Completed(b"1"))
    await steps.bury(store)
    assert not await upkeep(staff, "janitor").tick()
    counts = staff.seen.one(TasksPruned).counts
    assert (counts["completed"], counts["results"], counts["dead"]) == (
        3,
        4,
        0,
    )  # a failure is kept as a result is
    [[left]] = execute(direct, "SELECT count(*) FROM celers_dead_letter_queue")
    assert left == 1


async def test_nothing_to_prune_is_not_worth_a_word(make_staff: MakeStaff) -> None:
    staff = await make_staff(Celers())
    assert not await upkeep(staff, "janitor").tick()
    assert not staff.seen.of(TasksPruned)


async def test_the_queues_are_counted_for_the_gauges(make_staff: MakeStaff, store: Store) -> None:
    await start_worker(store)
    await store.enqueue([*steps.new_tasks(2, queue="mail"), steps.new_task(queue="reports")])
    await steps.claim_all(store, demand=steps.any_queue(1))
    await store.enqueue(steps.new_tasks(3, queue="mail"))
    staff = await make_staff(Celers())
    await upkeep(staff, "surveyor").tick()
    counted = staff.seen.one(QueuesCounted)
    pending, running = sum(counted.pending.values()), sum(counted.processing.values())
    assert pending + running == 6
    assert counted.pending["mail"] + counted.processing["mail"] == 5
    assert counted.workers == 1
    assert counted.dead == 0
    assert all(age >= 0 for age in counted.oldest_pending.values())


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_a_worker_that_froze_in_the_middle_of_its_heartbeat_does_not_hold_up_the_reaper(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    # T7
    staff = await make_staff(Celers(), database__call_timeout="2s")
    task = await steps.lost_task(store)
    with direct.engine.begin() as connection:
        connection.execute(select(workers.c.id).with_for_update()).all()
        await upkeep(staff, "reaper").tick()
    assert staff.seen.one(TasksReaped).released == [task.id]
    assert not await upkeep(staff, "reaper").tick()
    assert execute(direct, "SELECT state FROM celers_workers") == [("lost",)]


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_a_worker_that_froze_while_it_wrote_outcomes_does_not_keep_its_tasks(
    make_staff: MakeStaff, store: Store
) -> None:
    # T7
    frozen = await make_staff(Celers(), database__call_timeout="1s")
    task = await steps.lost_task(store)
    staff = await make_staff(Celers())

    async def given_back() -> bool:
        await upkeep(staff, "reaper").tick()
        return bool(staff.seen.of(TasksReaped))

    connection = await frozen.store.engine.connect()
    await connection.execute(select(tasks.c.id).with_for_update())
    assert not await given_back()
    await eventually(given_back)
    assert staff.seen.one(TasksReaped).released == [task.id]
    await connection.invalidate()
    await connection.close()


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
async def test_a_client_that_froze_in_the_middle_of_a_statement_does_not_keep_its_locks(
    make_staff: MakeStaff, store: Store, migrated_url: str
) -> None:
    # asyncpg has the server describe a new statement, and runs it by a second message. Neither of
    # the server's limits ends a session that waits for that one.
    frozen = await make_staff(Celers(), database__call_timeout="300ms")
    task = await steps.lost_task(store)
    staff = await make_staff(Celers(), database__call_timeout="300ms")
    connection = await frozen.store.engine.connect()
    await connection.execute(select(tasks.c.id).with_for_update())
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    await raw.prepare("SELECT 'never asked before'")
    another = await asyncpg.connect(migrated_url, server_settings={"application_name": "psql"})
    await another.execute("BEGIN")
    await another.prepare("SELECT 'not ours to end'")

    async def given_back() -> bool:
        await upkeep(staff, "reaper").tick()
        return bool(staff.seen.of(TasksReaped))

    await eventually(given_back)
    assert staff.seen.one(TasksReaped).released == [task.id]
    assert staff.seen.one(FrozenSessionsEnded).count == 1
    assert await another.fetchval("SELECT 17") == 17
    await another.close()
    await connection.invalidate()
    await connection.close()


async def test_one_janitor_works_and_another_takes_over_when_it_stops(
    make_staff: MakeStaff, store: Store
) -> None:
    settings = {"retention__completed": "0s"}
    one, other = await make_staff(Celers(), **settings), await make_staff(Celers(), **settings)

    async def pruned_by(staff: Staff) -> bool:
        await steps.settle(store, await steps.enqueue_and_claim(store), Completed(b"1"))
        before = len(staff.seen.of(TasksPruned))
        await upkeep(staff, "janitor").tick()
        return len(staff.seen.of(TasksPruned)) > before

    assert await pruned_by(one)
    assert not await pruned_by(other)
    await upkeep(one, "janitor").stop()
    assert await pruned_by(other)
    assert not await pruned_by(one)


async def test_a_janitor_that_died_frees_the_upkeep_when_its_lease_has_run_out(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    one, other = await make_staff(Celers()), await make_staff(Celers())
    await upkeep(one, "janitor").tick()
    await let_duties_be_due(store)
    await upkeep(other, "janitor").tick()
    assert not other.seen.of(DutyDone)
    # As if it had been silent since its last tick.
    execute(direct, "UPDATE celers_upkeep SET expires_at = done_at WHERE name = 'janitor'")
    await upkeep(other, "janitor").tick()
    assert {event.duty for event in other.seen.of(DutyDone)} == {"analyze", "archive"}


async def let_duties_be_due(store: Store) -> None:
    for duty in ("analyze", "archive"):
        await store.run(finish, duty, timedelta(seconds=-1))


async def test_the_duties_are_done_when_they_are_due_and_not_when_a_worker_starts(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    [task] = await store.enqueue([steps.new_task()])
    await steps.change_task(store, task.id, state="completed")
    staff = await make_staff(Celers(), maintenance__archive_after="0s")
    await upkeep(staff, "janitor").tick()
    assert staff.seen.of(DutyDone) == []
    await let_duties_be_due(store)
    await upkeep(staff, "janitor").tick()
    await upkeep(staff, "janitor").tick()
    done = {(event.duty, event.count) for event in staff.seen.of(DutyDone)}
    assert done == {("archive", 1), ("analyze", 0)}
    assert len(staff.seen.of(DutyDone)) == 2
    assert steps.live_rows(direct) == []


async def test_a_duty_every_0s_is_off(make_staff: MakeStaff, store: Store) -> None:
    off = {"maintenance__archive_interval": "0s", "maintenance__analyze_interval": "0s"}
    staff = await make_staff(Celers(), **off)
    await upkeep(staff, "janitor").tick()
    await let_duties_be_due(store)
    await upkeep(staff, "janitor").tick()
    assert staff.seen.of(DutyDone) == []


async def test_a_queue_is_pruned_by_its_own_retention(
    make_staff: MakeStaff, store: Store, direct: DirectStore
) -> None:
    config = {"retention__completed": "0s", "queues__audit__retention_completed": "1h"}
    for queue in ("audit", "noise"):
        task = await steps.enqueue_and_claim(store, queue=queue)
        await steps.settle(store, task, Completed(b"1"))
    staff = await make_staff(Celers(), **config)
    await upkeep(staff, "janitor").tick()
    assert execute(direct, "SELECT queue_name FROM celers_task_archive") == [("audit",)]
