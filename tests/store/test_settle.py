"""Each outcome is written once, by whoever still holds the lease, and by nobody else."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Failure,
    Release,
    Retry,
    Settlement,
)
from celers_worker.core.task import TaskState
from celers_worker.store import control, inspect, maintenance
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.results import ending_of
from celers_worker.store.schema import archive, dead_letters, results, tasks
from tests.store.steps import (
    BROKEN,
    DONE,
    FAILURE,
    GONE_WRONG,
    WORKER,
    any_queue,
    claim_all,
    claim_one,
    enqueue_and_claim,
    ids,
    live_row,
    live_rows,
    lose_worker,
    new_tasks,
    settle,
    start_worker,
)

FINAL = [DONE, Completed(b"1"), Cancelled("stopped"), Expired(), GONE_WRONG]
GIVEN_BACK = [BROKEN, Release(), Release(timedelta(0), "stopping")]


def kind(outcome):
    return type(outcome).__name__


async def view_of(store, task):
    return await store.run(inspect.task, task.id)


async def result_of(store, task):
    return (await store.run(ending_of, task.id)).value


async def attempts_of(store, task):
    return await store.run(inspect.attempts_of, task.id)


def sizes(direct):
    """Rows of the tables a task can be in."""
    tables = {"live": tasks, "archived": archive, "dead": dead_letters, "results": results}
    return direct.run(
        lambda transaction: {
            name: transaction.connection.execute(
                select(func.count()).select_from(table)
            ).scalar_one()
            for name, table in tables.items()
        }
    )


# --- every outcome, once ---


@pytest.mark.parametrize("outcome", [*FINAL, *GIVEN_BACK], ids=kind)
async def test_a_settle_writes_exactly_one_row_and_says_so(store, direct, outcome):  # T1
    task = await enqueue_and_claim(store)
    assert await store.settle(WORKER, [Settlement(task, outcome)]) == {task.id}
    found = sizes(direct)
    assert found["live"] + found["archived"] + found["dead"] == 1


@pytest.mark.parametrize("outcome", [*FINAL, *GIVEN_BACK], ids=kind)
async def test_a_second_settle_with_the_same_lease_changes_nothing(store, outcome):  # T1
    task = await enqueue_and_claim(store)
    await settle(store, task, outcome)
    before = await view_of(store, task)
    for another in (*FINAL, *GIVEN_BACK):
        assert await store.settle(WORKER, [Settlement(task, another)]) == set()
    assert await view_of(store, task) == before
    assert len(await attempts_of(store, task)) == isinstance(outcome, Retry | Dead)


@pytest.mark.parametrize("outcome", [*FINAL, *GIVEN_BACK], ids=kind)
async def test_a_settle_from_an_older_lease_does_not_touch_the_newer_run(  # T7
    store, direct, outcome
):
    await start_worker(store, "frozen")
    old = await enqueue_and_claim(store, "frozen")
    await lose_worker(store, "frozen")
    await store.run(maintenance.reap, max_crashes=9)
    new = await claim_one(store, "fresh")
    before = live_row(direct, new.id)
    assert await store.settle("frozen", [Settlement(old, outcome)]) == set()
    assert live_row(direct, new.id) == before
    assert before.worker_id == "fresh"
    assert await settle(store, new, worker="fresh")


async def test_a_settle_before_the_task_is_claimed_again_is_refused_too(store, direct):
    await start_worker(store, "frozen")
    old = await enqueue_and_claim(store, "frozen")
    await lose_worker(store, "frozen")
    await store.run(maintenance.reap, max_crashes=9)
    assert not await settle(store, old, worker="frozen")
    assert live_row(direct, old.id).state == TaskState.PENDING


async def test_a_settle_after_a_retry_by_hand_is_refused(store):
    # The number of the attempt is lower than before, so it could not have been the fence.
    old = await enqueue_and_claim(store, max_retries=0)
    await settle(store, old, GONE_WRONG)
    await store.run(control.retry, old.id)
    new = await claim_one(store)
    assert (new.attempt, new.lease > old.lease) == (1, True)
    assert not await settle(store, old)
    assert await settle(store, new)


async def test_one_settle_tells_held_leases_from_lost_ones(store):
    await store.enqueue(new_tasks(3))
    first, second, third = await claim_all(store)
    await settle(store, second)
    written = await store.settle(WORKER, [Settlement(one, DONE) for one in (first, second, third)])
    assert written == {first.id, third.id}


async def test_settles_of_one_lease_at_the_same_time_write_it_once(store, open_store, direct):
    task = await enqueue_and_claim(store)
    stores = [await open_store() for _ in range(4)]
    outcomes = [DONE, GONE_WRONG, BROKEN, Release()]
    written = await asyncio.gather(
        *(settle(each, task, outcome) for each, outcome in zip(stores, outcomes, strict=True))
    )
    assert sorted(written) == [False, False, False, True]
    found = sizes(direct)
    assert found["live"] + found["archived"] + found["dead"] == 1


async def test_nothing_to_settle_settles_nothing(store):
    assert await store.settle(WORKER, []) == set()


async def test_a_thousand_mixed_outcomes_settle_in_one_call(store, direct):
    outcomes = [*FINAL, *GIVEN_BACK]
    await store.enqueue(new_tasks(1_000))
    claimed = await claim_all(store)
    batch = [
        Settlement(task, outcomes[number % len(outcomes)]) for number, task in enumerate(claimed)
    ]
    assert await store.settle(WORKER, batch) == {*ids(claimed)}
    assert sizes(direct) == {"live": 375, "archived": 500, "dead": 125, "results": 250}
    assert Counter(row.state for row in live_rows(direct)) == {TaskState.PENDING: 375}


# --- completed ---


async def test_a_completed_task_moves_to_the_archive_as_it_was(store, direct):
    task = await enqueue_and_claim(
        store,
        queue="emails",
        priority=4,
        payload=b"\0'\xff",
        metadata={"who": "😀"},
        unique_key="k",
        fingerprint="f",
        timeout=timedelta(minutes=1),
    )
    before = live_row(direct, task.id)
    await settle(store, task)
    assert live_rows(direct) == []
    view = await view_of(store, task)
    assert (view.state, view.queue, view.priority) == (TaskState.COMPLETED, "emails", 4)
    assert (view.payload, view.metadata) == (b"\0'\xff", {"who": "😀"})
    assert (view.unique_key, view.fingerprint, view.timeout) == ("k", "f", 60)
    assert (view.worker, view.lease, view.error) == (WORKER, task.lease, None)
    assert (view.created_at, view.started_at) == (before.created_at, before.started_at)
    assert view.completed_at >= view.started_at


@pytest.mark.parametrize(
    ("stored", "value"),
    [(None, None), (b"0", 0), (b'{"a":[1.5,"\xf0\x9f\x98\x80",null]}', {"a": [1.5, "😀", None]})],
)
async def test_the_result_can_be_read(store, stored, value):  # T5
    task = await enqueue_and_claim(store)
    await settle(store, task, Completed(stored))
    assert await result_of(store, task) == value


async def test_results_go_to_their_tasks(store):
    await store.enqueue(new_tasks(20))
    claimed = await claim_all(store)
    await store.settle(
        WORKER,
        [
            Settlement(task, Completed(str(number).encode() if number % 2 else None))
            for number, task in enumerate(claimed)
        ],
    )
    for number, task in enumerate(claimed):
        found = await result_of(store, task)
        assert found == (number if number % 2 else None)


async def test_a_run_that_completes_wins_over_a_request_to_cancel_it(store):
    task = await enqueue_and_claim(store)
    await store.run(control.cancel, TaskFilter(ids=[task.id]), "too late")
    await settle(store, task, Completed(b"7"))
    assert (await view_of(store, task)).state is TaskState.COMPLETED
    assert await result_of(store, task) == 7


# --- retry ---


async def test_a_failed_run_waits_its_delay_and_counts(store, direct):  # T31
    task = await enqueue_and_claim(store)
    await settle(store, task, Retry(timedelta(minutes=3, milliseconds=250), FAILURE))
    row = live_row(direct, task.id)
    assert (row.state, row.retry_count, row.crash_count) == (TaskState.PENDING, 1, 0)
    assert (row.worker_id, row.started_at) == (None, None)
    assert row.error_message == "ValueError: no such user"
    [attempt] = await attempts_of(store, task)
    assert row.scheduled_at - attempt.failed_at < timedelta(minutes=3, seconds=5)
    assert row.scheduled_at - row.created_at >= timedelta(minutes=3, milliseconds=250)
    assert await claim_all(store) == []


async def test_every_failed_attempt_is_kept(store):
    await store.enqueue(new_tasks(1, max_retries=2))
    seen = []
    for number in (1, 2, 3):
        task = await claim_one(store, f"w{number}")
        failure = Failure("errors.Odd", f"réason {number} 😀", f"trace {number}")
        last = number == 3
        outcome = Dead("used up", failure) if last else Retry(timedelta(0), failure)
        await settle(store, task, outcome, f"w{number}")
        seen.append(task.started_at)
    attempts = await attempts_of(store, task)
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert [attempt.worker for attempt in attempts] == ["w1", "w2", "w3"]
    assert {attempt.error_type for attempt in attempts} == {"errors.Odd"}
    assert [attempt.error_message for attempt in attempts] == [f"réason {n} 😀" for n in (1, 2, 3)]
    assert [attempt.traceback for attempt in attempts] == ["trace 1", "trace 2", "trace 3"]
    assert [attempt.started_at for attempt in attempts] == seen
    assert all(attempt.failed_at >= attempt.started_at for attempt in attempts)


async def test_the_attempts_of_a_task_that_completed_later_are_kept(store):
    task = await enqueue_and_claim(store)
    await settle(store, task, BROKEN)
    again = await claim_one(store)
    assert again.attempt == 2
    await settle(store, again)
    assert [attempt.number for attempt in await attempts_of(store, task)] == [1]
    assert (await view_of(store, task)).state is TaskState.COMPLETED


@pytest.mark.parametrize("outcome", [BROKEN, GONE_WRONG], ids=kind)
async def test_a_long_error_is_kept_whole(store, outcome):
    long = Failure("E" * 255, "m" * 4_000, "😀" * 32_000)
    task = await enqueue_and_claim(store)
    await settle(store, task, type(outcome)(timedelta(0) if outcome is BROKEN else "r", long))
    [attempt] = await attempts_of(store, task)
    assert (attempt.error_type, attempt.error_message) == (long.type, long.message)
    assert attempt.traceback == long.traceback


# --- release ---


async def test_a_released_task_keeps_its_place_and_its_attempt(store, direct):
    await store.enqueue(new_tasks(2))
    first, second = await claim_all(store)
    before = live_row(direct, first.id)
    await store.settle(WORKER, [Settlement(one, Release()) for one in (second, first)])
    row = live_row(direct, first.id)
    assert (row.state, row.worker_id, row.started_at) == (TaskState.PENDING, None, None)
    assert (row.scheduled_at, row.retry_count, row.crash_count) == (before.scheduled_at, 0, 0)
    again = await claim_all(store)
    assert [(task.id, task.attempt) for task in again] == [(first.id, 1), (second.id, 1)]
    assert await attempts_of(store, first) == []


async def test_a_snoozed_task_comes_back_after_its_time_and_counts_no_attempt(store, direct):
    task = await enqueue_and_claim(store)
    await settle(store, task, Release(timedelta(hours=1), "rate limit"))
    row = live_row(direct, task.id)
    assert row.scheduled_at - row.created_at >= timedelta(hours=1)
    assert (row.retry_count, row.error_message) == (0, "rate limit")
    assert await claim_all(store) == []


async def test_a_release_without_a_reason_keeps_the_last_error(store, direct):
    task = await enqueue_and_claim(store)
    await settle(store, task, BROKEN)
    await settle(store, await claim_one(store), Release())
    assert live_row(direct, task.id).error_message == "ValueError: no such user"


# --- cancelled, expired, dead ---


@pytest.mark.parametrize("outcome", GIVEN_BACK, ids=kind)
async def test_a_task_cancelled_while_it_ran_does_not_run_again(store, outcome):
    task = await enqueue_and_claim(store)
    await store.run(control.cancel, TaskFilter(ids=[task.id]), "user left")
    assert await settle(store, task, outcome)
    view = await view_of(store, task)
    assert (view.state, view.error, view.reason) == (TaskState.CANCELLED, "user left", "user left")
    assert await claim_all(store) == []


@pytest.mark.parametrize(
    ("outcome", "state", "error"),
    [
        (Cancelled("stopped"), TaskState.CANCELLED, "stopped"),
        (Cancelled("r" * 5_000), TaskState.CANCELLED, "r" * 5_000),
        (Expired(), TaskState.EXPIRED, None),
    ],
)
async def test_a_task_that_ends_unrun_is_archived_with_its_reason(store, outcome, state, error):
    task = await enqueue_and_claim(store)
    await settle(store, task, outcome)
    view = await view_of(store, task)
    assert (view.state, view.error) == (state, error)
    assert view.completed_at is not None


async def test_a_dead_task_is_kept_with_its_reason_and_its_error(store, direct):
    task = await enqueue_and_claim(
        store, queue="emails", priority=4, payload=b"\0", metadata={"a": 1}, max_retries=7
    )
    await settle(store, task, Dead("gave up: 😀", FAILURE))
    assert sizes(direct) == {"live": 0, "archived": 0, "dead": 1, "results": 1}
    view = await view_of(store, task)
    assert (view.state, view.reason) == (TaskState.FAILED, "gave up: 😀")
    assert view.error == "ValueError: no such user"
    assert (view.queue, view.priority, view.max_retries) == ("emails", 4, 7)
    assert (view.payload, view.metadata, view.worker) == (b"\0", {"a": 1}, WORKER)
    assert (view.retry_count, view.crash_count, view.attempt) == (1, 0, 1)


async def test_a_reason_of_any_length_does_not_keep_a_task_from_dying(store):
    task = await enqueue_and_claim(store)
    assert await settle(store, task, Dead("😀" * 1_000, FAILURE))
    assert (await view_of(store, task)).reason == "😀" * 255


async def test_a_settle_can_be_part_of_the_handlers_own_transaction(store, direct):
    task = await enqueue_and_claim(store)
    with direct.engine.connect() as connection:
        transaction = direct.transaction(connection)
        assert transaction.settle(WORKER, [Settlement(task, DONE)]) == {task.id}
        connection.rollback()
    assert live_row(direct, task.id).state == TaskState.PROCESSING
    assert direct.run(direct.transaction.settle, WORKER, [Settlement(task, DONE)]) == {task.id}


async def test_the_same_task_twice_in_one_settle_is_written_once(store, direct):
    task = await enqueue_and_claim(store)
    written = await store.settle(WORKER, [Settlement(task, DONE), Settlement(task, DONE)])
    assert written == {task.id}
    assert sizes(direct)["archived"] == 1


async def test_claims_and_settles_overlap_without_loss(store):
    added = await store.enqueue(new_tasks(200))
    done = set()
    batch = await store.claim(WORKER, any_queue(30))
    while batch:
        settled, batch = await asyncio.gather(
            store.settle(WORKER, [Settlement(task, DONE) for task in batch]),
            store.claim(WORKER, any_queue(30)),
        )
        done |= settled
    assert done == {*ids(added)}
