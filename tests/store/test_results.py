"""What is kept of tasks that ended: written in the settle, read for many at once, forgotten."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from celers_worker.core.outcome import Completed, Dead, Failure, Settlement
from celers_worker.core.task import TaskState, new_id
from celers_worker.store import StoreOptions, control, pruning, sql
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.results import ending_of, endings_of, forget, is_kept
from celers_worker.store.schema import archive, results
from tests.store.steps import (
    DONE,
    FAILURE,
    WORKER,
    bury,
    claim_all,
    claim_one,
    enqueue_and_claim,
    ids,
    new_tasks,
    settle,
)

DAY = timedelta(days=1)
RETENTION = dict.fromkeys(("completed", "cancelled", "expired", "dead", "results"), DAY)
OUT_OF_STOCK = Failure("shop.OutOfStock", "none left", "Traceback …", b'{"declared":"x"}')


def kept_rows(direct):
    return direct.run(lambda transaction: transaction.connection.execute(select(results)).all())


async def change_result(store, task_id, **values):
    await store.run(
        lambda transaction: transaction.connection.execute(
            update(results).where(results.c.task_id == task_id).values(**values)
        )
    )


# --- what is written ---


async def test_a_value_is_kept_with_its_runtime_its_codec_and_its_name(store, direct):
    task = await enqueue_and_claim(store, name="render")
    assert await settle(store, task, Completed(b"\0\xff", 1.5, "raw", timedelta(hours=1)))
    [row] = kept_rows(direct)
    assert (row.task_id, row.task_name, row.state) == (task.id, "render", "completed")
    assert (bytes(row.result), row.codec, row.runtime) == (b"\0\xff", "raw", 1.5)
    assert row.expires_at - row.created_at == pytest.approx(timedelta(hours=1), abs=DAY / 86_400)
    assert (row.error_type, row.error_message, row.error_data, row.traceback) == (None,) * 4


async def test_a_final_failure_is_kept_with_its_type_its_data_and_its_runtime(store, direct):
    task = await enqueue_and_claim(store)
    assert await settle(store, task, Dead("gave up", OUT_OF_STOCK, 2.5))
    [row] = kept_rows(direct)
    assert (row.state, bytes(row.result), row.expires_at) == ("failed", b"", None)
    assert (row.error_type, row.error_message) == ("shop.OutOfStock", "none left")
    assert (bytes(row.error_data), row.traceback) == (b'{"declared":"x"}', "Traceback …")
    ending = await store.run(ending_of, task.id)
    assert (ending.error_type, ending.error) == ("shop.OutOfStock", "shop.OutOfStock: none left")
    assert (ending.error_data, ending.runtime) == (b'{"declared":"x"}', 2.5)


async def test_nothing_is_kept_of_a_task_that_returned_nothing(store, direct):
    await settle(store, await enqueue_and_claim(store))
    assert kept_rows(direct) == []


async def test_its_runtime_is_the_time_from_its_start_to_its_end(store):
    task = await enqueue_and_claim(store)
    await settle(store, task)

    def take_longer(transaction):
        transaction.connection.execute(
            update(archive).values(started_at=sql.later(-90), completed_at=sql.later(-60))
        )

    await store.run(take_longer)
    assert (await store.run(ending_of, task.id)).runtime == pytest.approx(30, abs=0.1)


async def test_a_failure_that_is_not_to_be_kept_is_known_from_its_last_attempt(store, direct):
    task = await enqueue_and_claim(store)
    await settle(store, task, Dead("gave up", FAILURE, 2.5, timedelta(0)))
    assert kept_rows(direct) == []
    ending = await store.run(ending_of, task.id)
    assert (ending.error_type, ending.traceback) == (FAILURE.type, FAILURE.traceback)


async def test_a_result_from_an_older_lease_is_not_kept(store, direct):
    task = await enqueue_and_claim(store)
    await settle(store, task)
    assert not await settle(store, task, Completed(b"1"))
    assert not await settle(store, task, Dead("late", FAILURE))
    assert kept_rows(direct) == []


@pytest.mark.parametrize("outcome", [Completed(b"1"), Dead("again", FAILURE)])
async def test_a_row_of_an_earlier_life_does_not_stand_in_the_way(store, direct, outcome):
    dead = await bury(store)
    await store.run(control.retry, dead.id)
    assert kept_rows(direct) == []  # and yet somebody restored it, say
    await store.run(
        lambda transaction: transaction.connection.execute(
            sql.insert_ignore(results).values(task_id=dead.id, result=b"0", error_type="Old")
        )
    )
    assert await settle(store, await claim_one(store), outcome)
    [row] = kept_rows(direct)
    assert row.error_type == (FAILURE.type if isinstance(outcome, Dead) else None)


# --- what is read ---


async def test_many_are_asked_for_at_once_and_what_never_was_is_left_out(store):
    await store.enqueue(new_tasks(5))
    first, second, third, _, fifth = await claim_all(store)
    await store.settle(WORKER, [Settlement(first, Completed(b"1")), Settlement(second, DONE)])
    await settle(store, third, Dead("gave up", FAILURE))
    await store.run(control.cancel, TaskFilter(ids=[fifth.id]), "too late")
    [waiting] = await store.enqueue(new_tasks(1))
    await store.run(control.cancel, TaskFilter(ids=[waiting.id]), "changed my mind")
    asked = [*ids([first, second, third, fifth]), waiting.id, new_id(), first.id]
    found = await store.run(endings_of, asked)
    assert {task_id: (one.state, one.value, one.error) for task_id, one in found.items()} == {
        first.id: (TaskState.COMPLETED, 1, None),
        second.id: (TaskState.COMPLETED, None, None),
        third.id: (TaskState.FAILED, None, str(FAILURE)),
        fifth.id: (TaskState.PROCESSING, None, None),
        waiting.id: (TaskState.CANCELLED, None, "changed my mind"),
    }
    assert {one.ended for one in found.values()} == {True, False}


async def test_thousands_are_asked_for_too(store):
    added = await store.enqueue(new_tasks(2_500))
    found = await store.run(endings_of, [one.id for one in added])
    assert len(found) == 2_500


async def test_a_failure_outlives_its_dead_task_as_long_as_its_own_retention(store):
    task = await bury(store)
    await store.run(pruning.prune, RETENTION | {"dead": -DAY})
    ending = await store.run(ending_of, task.id)
    assert (ending.state, ending.error) == (TaskState.FAILED, str(FAILURE))
    assert (ending.error_type, ending.name) == (FAILURE.type, "send")


async def test_without_the_archive_a_result_still_knows_its_task(open_store):
    store = await open_store(StoreOptions(keep_completed=False))
    task = await enqueue_and_claim(store, name="render")
    await settle(store, task, Completed(b"7", 1.5))
    ending = await store.run(ending_of, task.id)
    assert (ending.name, ending.value, ending.runtime) == ("render", 7, 1.5)


# --- how long ---


async def test_a_result_past_its_time_is_not_read_and_then_deleted(store, direct):
    await store.enqueue(new_tasks(3))
    short, long, plain = await claim_all(store)
    for task, keep in ((short, DAY), (long, 9 * DAY), (plain, None)):
        await settle(store, task, Completed(b"7", None, None, keep))
    await change_result(store, short.id, expires_at=sql.later(-1))
    await change_result(store, long.id, created_at=sql.later(-5 * 86_400))
    assert (await store.run(ending_of, short.id)).value is None
    counts = await store.run(pruning.prune, RETENTION)
    assert counts["results"] == 1
    assert {row.task_id for row in kept_rows(direct)} == {long.id, plain.id}
    counts = await store.run(pruning.prune, RETENTION | {"results": -DAY})
    assert counts["results"] == 1
    assert [row.task_id for row in kept_rows(direct)] == [long.id]


# --- forgetting ---


async def test_what_is_forgotten_is_gone_and_its_task_stays(store):
    await store.enqueue(new_tasks(2))
    first, second = await claim_all(store)
    for task in (first, second):
        await settle(store, task, Completed(b"7"))
    assert await store.run(is_kept, first.id)
    assert await store.run(forget, [first.id, new_id()]) == 1
    assert await store.run(forget, [first.id]) == 0
    assert not await store.run(is_kept, first.id)
    ending = await store.run(ending_of, first.id)
    assert (ending.state, ending.value) == (TaskState.COMPLETED, None)
    assert (await store.run(ending_of, second.id)).value == 7


async def test_a_dead_task_that_is_purged_leaves_no_failure_behind(store, direct):
    task = await bury(store)
    await store.run(control.purge_dead, TaskFilter(ids=[task.id]))
    assert kept_rows(direct) == []
    assert await store.run(ending_of, task.id) is None
