"""What is tidied up: foreign workers' rows, what has ended, sizes, tuning, and who does it."""

import asyncio
from datetime import timedelta

import pytest

from celers_worker.core.errors import Unavailable
from celers_worker.core.task import TaskState
from celers_worker.store import health, housekeeping, inspect, maintenance, tuning, upkeep
from celers_worker.store import sizes as told
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.tuning import Tuning
from tests.store.steps import (
    DONE,
    bury,
    change_task,
    enqueue_and_claim,
    execute,
    live_row,
    live_rows,
    new_task,
    new_tasks,
    settle,
    start_worker,
)

HOUR = timedelta(hours=1)
AT_ONCE = timedelta(seconds=-60)


async def ended_elsewhere(store, state, number=1):
    """Tasks that CeleRS's own worker has ended: their rows stay where they are."""
    added = await store.enqueue(new_tasks(number))
    for task in added:
        await change_task(store, task.id, state=state, error_message="as it was")
    return added


@pytest.mark.parametrize(
    ("state", "home"), [("completed", "archive"), ("cancelled", "archive"), ("failed", "dead")]
)
async def test_what_a_foreign_worker_ended_moves_and_no_row_is_lost(store, direct, state, home):
    # T14
    [task] = await ended_elsewhere(store, state)
    assert await store.run(housekeeping.archive_ended, HOUR) == 0
    assert await store.run(housekeeping.count_ended, AT_ONCE) == 1
    assert await store.run(housekeeping.archive_ended, AT_ONCE) == 1
    assert live_rows(direct) == []
    view = await store.run(inspect.task, task.id)
    assert (view.state, view.error) == (TaskState(state), "as it was")
    table = "celers_task_archive" if home == "archive" else "celers_dead_letter_queue"
    assert execute(direct, f"SELECT count(*) FROM {table}") == [(1,)]


async def test_foreign_rows_move_in_batches_of_no_more_than_was_said(store):
    # T14
    await ended_elsewhere(store, "completed", 5)
    counts = [await store.run(housekeeping.archive_ended, AT_ONCE, limit=2) for _ in range(4)]
    assert counts == [2, 2, 1, 0]
    assert await store.run(inspect.count_tasks, TaskFilter(states=[TaskState.COMPLETED])) == 5


async def test_live_tasks_are_not_archived(store, direct):
    await enqueue_and_claim(store)
    await store.enqueue(new_tasks(2))
    assert await store.run(housekeeping.archive_ended, AT_ONCE) == 0
    assert len(live_rows(direct)) == 3


@pytest.mark.parametrize("started", [True, False])
async def test_a_task_stuck_without_a_worker_is_taken_back_after_its_time(store, direct, started):
    # T13
    [task] = await store.enqueue([new_task()])
    long_ago = {
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '-2 hours')",
        "mysql": "UTC_TIMESTAMP(6) - INTERVAL 2 HOUR",
    }.get(store.url.get_backend_name(), "now() - interval '2 hours'")
    since = "started_at" if started else "created_at"
    execute(direct, f"UPDATE celers_tasks SET state = 'processing', {since} = {long_ago}")
    patient = {"max_crashes": 3, "orphans": True, "stuck": 3 * HOUR}
    assert (await store.run(maintenance.reap, **patient)).released == []
    assert await store.run(maintenance.count_orphans, stuck=3 * HOUR) == 0
    assert await store.run(maintenance.count_orphans) == 1
    reaped = await store.run(maintenance.reap, max_crashes=3, orphans=True)
    assert reaped.released == [task.id]
    assert live_row(direct, task.id).crash_count == 1


async def test_a_task_that_gets_stuck_again_and_again_is_buried(store, direct):
    # T13
    [task] = await store.enqueue([new_task(max_retries=100)])
    for _ in range(2):
        await change_task(store, task.id, state="processing", worker_id=None)
        await store.run(maintenance.reap, max_crashes=2, orphans=True, stuck=AT_ONCE)
    assert (await store.run(inspect.task, task.id)).state is TaskState.FAILED


async def test_tasks_of_live_workers_are_no_orphans(store):
    # T13
    await start_worker(store)
    await enqueue_and_claim(store)
    assert await store.run(maintenance.count_orphans, stuck=AT_ONCE) == 0


# --- purge ---


async def test_a_purge_deletes_only_what_has_ended_and_is_meant(store, direct):
    await settle(store, await enqueue_and_claim(store, queue="a"), DONE)
    await settle(store, await enqueue_and_claim(store, queue="b"), DONE)
    await bury(store, queue="a")
    await store.enqueue([new_task(queue="a")])
    wanted = TaskFilter(queue="a")
    assert await store.run(housekeeping.count_purged, wanted) == 2
    assert await store.run(housekeeping.purge, wanted) == 2
    assert [row.queue_name for row in live_rows(direct)] == ["a"]
    assert await store.run(housekeeping.count_purged, TaskFilter()) == 1
    assert execute(direct, "SELECT count(*) FROM celers_task_attempts") == [(0,)]


async def test_a_purge_takes_no_more_than_its_batch(store):
    for _ in range(3):
        await settle(store, await enqueue_and_claim(store), DONE)
        await bury(store)
    counts = [await store.run(housekeeping.purge, TaskFilter(), limit=4) for _ in range(3)]
    assert counts == [4, 2, 0]


async def test_a_purge_by_state_leaves_the_other_states(store):
    await settle(store, await enqueue_and_claim(store), DONE)
    await bury(store)
    wanted = TaskFilter(states=[TaskState.FAILED])
    assert await store.run(housekeeping.purge, wanted) == 1
    [kept] = await store.run(inspect.list_tasks, TaskFilter())
    assert kept.state is TaskState.COMPLETED


# --- one janitor at a time ---


async def test_one_of_many_holds_the_upkeep(store, open_store):
    stores = [store, await open_store(), await open_store()]
    held = await asyncio.gather(
        *(one.run(upkeep.hold, f"w{number}", HOUR) for number, one in enumerate(stores))
    )
    assert sorted(held) == [False, False, True]


async def test_who_holds_the_upkeep_keeps_it_and_who_dies_frees_it(store):
    assert await store.run(upkeep.hold, "one", timedelta(0))
    assert await store.run(upkeep.hold, "other", HOUR)  # its lease has run out
    assert not await store.run(upkeep.hold, "one", HOUR)
    assert await store.run(upkeep.hold, "other", HOUR)


async def test_who_stops_lets_another_have_the_upkeep_at_once(store):
    assert await store.run(upkeep.hold, "one", HOUR)
    await store.run(upkeep.release, "other")  # not theirs
    assert not await store.run(upkeep.hold, "other", HOUR)
    await store.run(upkeep.release, "one")
    assert await store.run(upkeep.hold, "other", HOUR)


async def test_a_duty_is_due_once_for_each_of_its_intervals(store):
    assert await store.run(upkeep.begin, ["analyze"]) == []  # not at once: in an hour
    await store.run(upkeep.finish, "analyze", timedelta(seconds=-1))
    assert await store.run(upkeep.begin, ["analyze"]) == ["analyze"]
    assert await store.run(upkeep.begin, ["analyze"]) == []  # somebody is at it
    await store.run(upkeep.finish, "analyze", HOUR)
    assert await store.run(upkeep.begin, ["analyze"]) == []
    [duty] = await store.run(upkeep.duties)
    assert duty.due_at - duty.done_at == pytest.approx(HOUR, abs=timedelta(seconds=1))


# --- sizes and tuning ---


async def test_sizes_are_told_of_every_table(store, direct):
    await settle(store, await enqueue_and_claim(store), DONE)
    await store.enqueue(new_tasks(20))
    for _ in tuning.tune(direct, Tuning.ANALYZE):
        pass
    found = {one.name: one for one in await store.run(told.sizes)}
    assert {"celers_tasks", "celers_task_archive", "celers_dead_letter_queue"} <= found.keys()
    assert found["celers_tasks"].rows == 20
    assert found["celers_task_archive"].rows == 1
    assert found["celers_tasks"].data_bytes is None or found["celers_tasks"].data_bytes > 0


@pytest.mark.parametrize("asked", Tuning)
async def test_the_database_can_be_tuned_while_tasks_live(store, direct, asked):
    await store.enqueue(new_tasks(5))
    planned = tuning.steps(direct, asked)
    assert [step.statement for step in tuning.tune(direct, asked)] == [
        step.statement for step in planned
    ]
    assert len(live_rows(direct)) == 5


async def test_the_janitors_own_analysis_is_one_transaction(store):
    await store.enqueue(new_tasks(5))
    await store.run(lambda transaction: transaction.analyze())
    assert await store.run(inspect.count_tasks, TaskFilter()) == 5


async def test_partitions_are_told_with_the_day_they_go(store):
    found = await store.run(told.partitions, timedelta(days=7))
    if store.url.get_backend_name() != "postgresql":
        assert found == []
        return
    dated = [one for one in found if one.day is not None]
    assert dated
    assert [one.day for one in found if one.name.endswith("default")] == [None]
    assert all(one.dropped_after - one.day == timedelta(days=8) for one in dated)


# --- health ---


async def test_the_vitals_of_an_idle_system(store):
    await start_worker(store)
    await store.enqueue([new_task(delay=HOUR)])
    found = await store.run(health.vitals, max_dead=5)
    assert (found.workers, found.backlog_age, found.backlog_queue, found.dead) == (1, 0, None, 0)


async def test_the_backlog_is_as_old_as_what_has_been_due_longest(store, direct):
    await store.enqueue([new_task(queue="a"), new_task(queue="b", priority=5)])
    past = {
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '-90 seconds')",
        "mysql": "UTC_TIMESTAMP(6) - INTERVAL 90 SECOND",
    }.get(store.url.get_backend_name(), "now() - interval '90 seconds'")
    execute(direct, f"UPDATE celers_tasks SET scheduled_at = {past} WHERE queue_name = 'a'")
    found = await store.run(health.vitals)
    assert 90 <= found.backlog_age < 120
    assert found.backlog_queue == "a"
    assert (await store.run(health.vitals, queue="b")).backlog_age < 60


async def test_a_paused_queue_has_no_backlog(store):
    from celers_worker.store import control

    await store.enqueue(new_tasks(1))
    await store.run(control.pause, "default", None)
    assert (await store.run(health.vitals)).backlog_queue is None


async def test_dead_letters_are_counted_just_over_the_limit(store):
    for _ in range(4):
        await bury(store)
    assert (await store.run(health.vitals, max_dead=2)).dead == 3
    assert (await store.run(health.vitals, max_dead=9)).dead == 4
    assert (await store.run(health.vitals, queue="other", max_dead=9)).dead == 0


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_a_vacuum_that_must_wait_for_a_writer_says_so(direct):
    from celers_worker.store import StoreOptions, make_direct_store

    hasty = StoreOptions(call_timeout=timedelta(seconds=1))
    with (
        direct.engine.begin(),
        make_direct_store(f"sqlite:///{direct.url.database}", hasty) as other,
        pytest.raises(Unavailable, match="busy"),
    ):
        list(tuning.tune(other, Tuning.VACUUM))
