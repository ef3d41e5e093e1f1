"""The dead letter queue: kept for a person, who requeues or purges."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from celers_worker.core.outcome import Dead, Failure, Settlement
from celers_worker.core.task import TaskState
from celers_worker.store import control, inspect, sql
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.schema import dead_letters
from tests.store.steps import (
    WORKER,
    bury,
    claim_all,
    claim_one,
    ids,
    live_row,
    live_rows,
    new_task,
    new_tasks,
    settle,
)

EVERY = TaskFilter()


async def requeue(store, wanted=EVERY, **changes):
    return await store.run(control.requeue, wanted, **changes)


async def dead(store):
    return await store.run(inspect.list_tasks, TaskFilter(states=[TaskState.FAILED]), limit=1_000)


async def bury_all(store, tasks, messages=()):
    """Let *tasks* die, each with its message."""
    await store.enqueue(tasks)
    claimed = sorted(await claim_all(store), key=lambda task: task.id)
    messages = messages or [""] * len(claimed)
    await store.settle(
        WORKER,
        [
            Settlement(task, Dead("gave up", Failure("ValueError", message)))
            for task, message in zip(claimed, messages, strict=True)
        ],
    )
    return claimed


async def test_a_requeued_task_is_the_task_it_was(store, direct):  # T12
    old = await bury(
        store,
        queue="emails",
        priority=7,
        max_retries=5,
        payload=b"\0'\xff",
        metadata={"who": "😀"},
        timeout=timedelta(seconds=5),
        unique_key="k",
        fingerprint="f",
    )
    requeued = await requeue(store, TaskFilter(ids=[old.id]))
    assert (requeued.ids, requeued.conflicts) == ([old.id], [])
    row = live_row(direct, old.id)
    assert (row.state, row.queue_name, row.priority, row.max_retries) == (
        TaskState.PENDING,
        "emails",
        7,
        5,
    )
    assert (row.payload, row.metadata, row.timeout) == (b"\0'\xff", {"who": "😀"}, 5)
    assert (row.unique_key, row.fingerprint, row.created_at) == ("k", "f", old.created_at)


async def test_a_requeued_task_starts_anew_and_its_history_stays(store):
    old = await bury(store, max_retries=0)
    await requeue(store)
    new = await claim_one(store)
    assert (new.attempt, new.lease > old.lease) == (1, True)
    assert not await settle(store, old)
    assert await settle(store, new)
    assert len(await store.run(inspect.attempts_of, old.id)) == 1
    assert await dead(store) == []


async def test_a_task_that_dies_twice_keeps_both_deaths(store):
    await bury(store)
    await requeue(store)
    again = await claim_one(store)
    await settle(store, again, Dead("again", Failure("KeyError", "'id'")))
    attempts = await store.run(inspect.attempts_of, again.id)
    assert [attempt.error_type for attempt in attempts] == ["ValueError", "KeyError"]
    [view] = await dead(store)
    assert view.reason == "again"


async def test_a_requeue_may_wait(store, direct):
    old = await bury(store)
    await requeue(store, delay=timedelta(hours=1))
    row = live_row(direct, old.id)
    assert row.scheduled_at - row.created_at >= timedelta(hours=1)
    assert await claim_all(store) == []


async def test_two_requeues_at_once_make_one_task(store, open_store, direct):  # T12
    tasks = await bury_all(store, [new_task(priority=7) for _ in range(50)])
    others = [await open_store() for _ in range(4)]
    answers = await asyncio.gather(*(requeue(other) for other in others))
    done = sorted(task_id for answer in answers for task_id in answer.ids)
    assert done == ids(tasks) == ids(live_rows(direct))
    assert {row.priority for row in live_rows(direct)} == {7}
    assert await dead(store) == []


async def test_a_task_whose_key_a_live_task_has_stays_dead_and_is_reported(store, direct):
    old = await bury(store, unique_key="k")
    free = await bury(store)
    [owner] = await store.enqueue([new_task(unique_key="k")])
    requeued = await requeue(store)
    assert (requeued.ids, requeued.conflicts) == ([free.id], [old.id])
    assert {*ids(live_rows(direct))} == {owner.id, free.id}
    assert ids(await dead(store)) == [old.id]


async def test_of_dead_tasks_with_one_key_one_is_requeued(store):
    first = await bury(store, unique_key="k")
    second = await bury(store, unique_key="k")
    requeued = await requeue(store)
    assert sorted([*requeued.ids, *requeued.conflicts]) == sorted([first.id, second.id])
    assert len(requeued.ids) == 1


async def test_a_requeue_goes_in_batches(store):
    await bury_all(store, new_tasks(25))
    counts = [len((await requeue(store, limit=10)).ids) for _ in range(4)]
    assert counts == [10, 10, 5, 0]


async def test_only_dead_tasks_are_requeued(store, direct):
    await store.enqueue([new_task()])
    done = await claim_one(store)
    await settle(store, done)
    requeued = await requeue(store, TaskFilter(ids=[done.id]))
    assert (requeued.ids, requeued.conflicts) == ([], [])
    assert live_rows(direct) == []


# --- which ---


@pytest.fixture
async def four(store):
    """Dead tasks of two queues and two names."""
    tasks = [new_task(queue=queue, name=name) for queue in ("a", "b") for name in ("x", "y")]
    messages = ["Timeout at 10.0.0.1", "100% full_disk", "timeout", "Zoë's 10x0x0x1 fulldisk"]
    return ids(await bury_all(store, tasks, messages))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (TaskFilter(), [0, 1, 2, 3]),
        (TaskFilter(queue="a"), [0, 1]),
        (TaskFilter(name="y"), [1, 3]),
        (TaskFilter(queue="b", name="y"), [3]),
        (TaskFilter(queue="A"), []),
        (TaskFilter(queue="a' OR '1'='1"), []),
        (TaskFilter(text="timeout"), [0, 2]),
        (TaskFilter(text="TIMEOUT AT"), [0]),
        (TaskFilter(text="10.0.0.1"), [0]),
        (TaskFilter(text="%"), [1]),
        (TaskFilter(text="full_disk"), [1]),
        (TaskFilter(text="zoë's"), [3]),
        (TaskFilter(text="' OR 1=1 --"), []),
        (TaskFilter(worker=WORKER), [0, 1, 2, 3]),
        (TaskFilter(worker="another"), []),
        (TaskFilter(older_than=timedelta(hours=1)), []),
    ],
)
async def test_what_is_requeued_is_what_the_filter_means(store, four, wanted, expected):
    if wanted.text == "zoë's" and store.url.get_backend_name() == "sqlite":
        wanted = TaskFilter(text="Zoë's")  # SQLite knows the case of ASCII letters only
    requeued = await requeue(store, wanted)
    assert sorted(requeued.ids) == [four[index] for index in expected]


async def test_the_age_of_a_dead_task_counts_from_its_death(store, four):
    def age(transaction):
        transaction.connection.execute(
            update(dead_letters)
            .where(dead_letters.c.id.in_(four[:2]))
            .values(failed_at=sql.later(-7_200))
        )

    await store.run(age)
    requeued = await requeue(store, TaskFilter(older_than=timedelta(hours=1)))
    assert sorted(requeued.ids) == four[:2]


async def test_chosen_ids_are_requeued_and_unknown_ones_are_nothing(store, four):
    chosen = [four[1], four[3], new_task().id]
    assert sorted((await requeue(store, TaskFilter(ids=chosen))).ids) == [four[1], four[3]]


# --- purge ---


async def test_purged_tasks_are_gone_for_good(store, four):
    assert await store.run(control.purge_dead, TaskFilter(queue="a")) == 2
    assert sorted(ids(await dead(store))) == four[2:]
    assert await store.run(inspect.task, four[0]) is None


async def test_a_purge_goes_in_batches(store, four):
    counts = [await store.run(control.purge_dead, EVERY, limit=3) for _ in range(3)]
    assert counts == [3, 1, 0]


async def test_a_purge_of_dead_tasks_leaves_live_ones_alone(store, direct):
    [live] = await store.enqueue([new_task()])
    assert await store.run(control.purge_dead, EVERY) == 0
    assert ids(live_rows(direct)) == [live.id]
