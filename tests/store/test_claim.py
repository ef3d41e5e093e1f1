"""A claim hands out due tasks: each once, the most urgent first, and only as many as fit."""

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import null

from celers_worker.core.errors import StoreError
from celers_worker.core.outcome import Release
from celers_worker.core.task import Demand, TaskState
from celers_worker.store import control, sql
from tests.store.steps import (
    WORKER,
    any_queue,
    change_task,
    claim_all,
    claim_one,
    execute,
    ids,
    live_row,
    new_task,
    new_tasks,
    settle,
)

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
HOSTILE_QUEUES = [
    "x') OR 1=1 --",
    "x' OR '1'='1",
    "%",
    "_efault",
    "DEFAULT",
    "défault",
    "default\0",
    "{default}",
    '"default"',
    "default,emails",
    ":queue_0",
]


def minutes(count):
    return timedelta(minutes=count)


async def test_a_claimed_task_knows_its_instants(store, direct):
    [added] = await store.enqueue([new_task(at=LONG_AGO + timedelta(microseconds=123_457))])
    task = await claim_one(store)
    row = live_row(direct, added.id)
    assert task.scheduled_at == LONG_AGO + timedelta(microseconds=123_457)
    assert task.created_at == row.created_at
    assert task.created_at <= task.started_at <= row.started_at
    assert task.started_at.utcoffset() == timedelta(0)
    assert task.waited == (task.started_at - task.scheduled_at).total_seconds()


# --- order ---


# T2: every statement here runs on the real servers
async def test_the_highest_priority_comes_first_then_the_longest_due_then_the_id(store):
    tied = LONG_AGO + minutes(5)
    batch = [
        new_task(priority=0, at=LONG_AGO),
        new_task(priority=9, at=tied),
        new_task(priority=9, at=tied),
        new_task(priority=-3, at=LONG_AGO),
        new_task(priority=9, at=tied - timedelta(microseconds=1)),
        new_task(priority=2**31 - 1, at=tied),
        new_task(priority=-(2**31), at=LONG_AGO - minutes(1)),
    ]
    await store.enqueue(batch)
    expected = [batch[index].id for index in (5, 4, 1, 2, 0, 3, 6)]
    assert ids(await store.claim(WORKER, any_queue(10))) == expected


@pytest.mark.parametrize("size", [1, 4, 7])
async def test_the_order_holds_across_claims_of_any_size(store, size):
    batch = [
        new_task(priority=number % 5, at=LONG_AGO + minutes(number * 7 % 15))
        for number in range(15)
    ]
    await store.enqueue(batch)
    expected = sorted(batch, key=lambda task: (-task.priority, task.at, task.id))
    assert ids(await claim_all(store, demand=any_queue(size))) == ids(expected)


async def test_the_order_holds_across_queues(store):
    batch = [
        new_task(queue=f"q{number % 3}", priority=number % 2, at=LONG_AGO + minutes(number))
        for number in range(12)
    ]
    await store.enqueue(batch)
    expected = sorted(batch, key=lambda task: (-task.priority, task.at))
    assert ids(await store.claim(WORKER, any_queue(12))) == ids(expected)


async def test_the_time_it_became_due_counts_and_not_the_time_of_the_enqueue(store):
    later, sooner = new_task(at=LONG_AGO + minutes(1)), new_task(at=LONG_AGO)
    await store.enqueue([later])
    await store.enqueue([sooner])
    assert ids(await claim_all(store)) == [sooner.id, later.id]


# --- what is due ---


async def test_nothing_is_handed_out_before_it_is_due(store):
    await store.enqueue([new_task(delay=minutes(1)), new_task(priority=9, delay=minutes(1))])
    assert await store.claim(WORKER, any_queue(10)) == []


async def test_what_is_not_due_does_not_hide_what_is(store):
    await store.enqueue(new_tasks(20, priority=9, delay=minutes(1)))
    [due] = await store.enqueue([new_task()])
    assert ids(await store.claim(WORKER, any_queue(10))) == [due.id]


async def test_of_one_queue_and_priority_only_what_is_due_is_handed_out(store):
    first, _, second, _ = await store.enqueue(
        [new_task(), new_task(delay=minutes(1)), new_task(), new_task(delay=minutes(60))]
    )
    assert ids(await store.claim(WORKER, any_queue(10))) == [first.id, second.id]
    assert await claim_all(store) == []


async def test_a_task_is_found_once_it_has_become_due(store):
    [added] = await store.enqueue([new_task(delay=minutes(1))])
    assert await store.claim(WORKER, any_queue(10)) == []
    await change_task(store, added.id, scheduled_at=sql.now())
    assert ids(await claim_all(store)) == [added.id]


async def test_an_idle_claim_learns_when_the_next_task_is_due(store):
    await store.enqueue([new_task(delay=minutes(9)), new_task(priority=4, delay=minutes(2))])
    await store.claim(WORKER, any_queue(10))
    assert 100 < store.levels.next_due <= 120


@pytest.mark.parametrize("state", sorted({*TaskState} - {TaskState.PENDING}))
async def test_only_pending_tasks_are_handed_out(store, state):
    [added] = await store.enqueue([new_task()])
    await change_task(store, added.id, state=state.value)
    assert await store.claim(WORKER, any_queue(10)) == []


async def test_a_task_whose_time_to_live_ran_out_is_handed_out_as_expired(store):
    fresh, stale = new_task(expires=minutes(1)), new_task(expires=timedelta(0))
    await store.enqueue([fresh, stale])
    claimed = await store.claim(WORKER, any_queue(10))
    assert {task.id: task.expired for task in claimed} == {fresh.id: False, stale.id: True}


async def test_a_far_future_row_by_another_hand_does_not_stop_the_claim(store, direct):
    far, due = await store.enqueue([new_task(priority=5), new_task()])
    year = {"postgresql": 294_000}.get(store.url.get_backend_name(), 9999)
    execute(
        direct,
        f"UPDATE celers_tasks SET scheduled_at = '{year}-12-31 23:59:59.999999' WHERE priority = 5",
    )
    assert ids(await claim_all(store)) == [due.id] != [far.id]


# --- the lease ---


async def test_a_claim_leases_to_the_worker(store, direct):
    await store.enqueue([new_task()])
    task = await claim_one(store, "w-7")
    row = live_row(direct, task.id)
    assert (row.state, row.worker_id, row.lease) == (TaskState.PROCESSING, "w-7", task.lease)
    assert abs(row.started_at - task.started_at) < timedelta(seconds=1)


async def test_every_claim_raises_the_lease(store):
    await store.enqueue([new_task()])
    first = await claim_one(store)
    await settle(store, first, Release())
    second = await claim_one(store)
    assert second.id == first.id
    assert second.lease > first.lease == 1
    assert second.attempt == first.attempt


async def test_a_leased_task_is_not_handed_out_again(store, open_store):
    await store.enqueue([new_task()])
    await claim_one(store)
    assert await (await open_store()).claim("another", any_queue(10)) == []


async def test_eight_claimers_get_each_of_a_thousand_tasks_once(store, open_store):  # T32
    added = await store.enqueue(
        [new_task(queue=f"q{number % 3}", priority=number % 4) for number in range(1_000)]
    )
    claimers = [await open_store() for _ in range(8)]
    claimed = await asyncio.gather(
        *(claim_all(each, f"w{n}", any_queue(20)) for n, each in enumerate(claimers))
    )
    last = await claim_all(store)  # what one had locked when another looked
    handed_out = [task for batch in (*claimed, last) for task in batch]
    assert Counter(ids(handed_out)) == Counter(ids(added))
    assert {task.lease for task in handed_out} == {1}


async def test_claims_of_one_store_may_overlap(store):
    added = await store.enqueue(new_tasks(100))
    claimed = await asyncio.gather(*(store.claim(WORKER, any_queue(20)) for _ in range(8)))
    rest = await claim_all(store)
    assert Counter(task.id for batch in (*claimed, rest) for task in batch) == Counter(ids(added))


# --- room ---


async def counts(store, demand):
    return Counter(task.queue for task in await store.claim(WORKER, demand))


@pytest.fixture
async def stocked(store):
    """Twenty tasks of four priorities in each of three queues."""
    await store.enqueue(
        [new_task(queue=queue, priority=n % 4) for n in range(20) for queue in ("a", "b", "c")]
    )
    return store


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        (Demand(0, {"a": 5}), {}),
        (Demand(7, {"a": 7}), {"a": 7}),
        (Demand(100, {"a": 100}), {"a": 20}),
        (Demand(100, {"a": 0, "b": 0}), {}),
        (Demand(100), {}),
        (Demand(100, others=100), {"a": 20, "b": 20, "c": 20}),
        (Demand(100, {"a": 0}, others=100), {"b": 20, "c": 20}),
    ],
)
async def test_one_claim_fills_all_the_room_and_no_more(stocked, demand, expected):
    assert await counts(stocked, demand) == expected


@pytest.mark.parametrize(
    "demand",
    [
        Demand(10, {"a": 2, "b": 3}),
        Demand(10, {"a": 1}, others=2),
        Demand(10, others=1),
        Demand(4, {"a": 3, "b": 3, "c": 3}),
        Demand(50, {"a": 7}, others=3),
        Demand(50, handlers={"send": 6}, others=50),
        Demand(50, {"a": 4}, others=50, handlers={"send": 9}),
    ],
)
async def test_a_claim_never_exceeds_any_room(stocked, demand):
    claimed = await counts(stocked, demand)
    assert 0 < claimed.total() <= min(demand.total, *demand.handlers.values(), 60)
    assert all(count <= demand.room(queue) for queue, count in claimed.items())


async def test_the_room_of_a_queue_is_filled_from_its_highest_priority_on(store):
    await store.enqueue([new_task(priority=number % 5) for number in range(10)])
    first = await store.claim(WORKER, Demand(10, {"default": 3}))
    rest = await claim_all(store, demand=Demand(10, {"default": 3}))
    assert [task.priority for task in [*first, *rest]] == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


async def test_a_queue_without_room_does_not_hide_the_others(stocked):
    claimed = await claim_all(stocked, demand=Demand(5, {"a": 0}, others=5))
    assert Counter(task.queue for task in claimed) == {"b": 20, "c": 20}


async def test_a_handler_gets_no_more_than_its_room_in_one_claim(store):
    await store.enqueue(
        [new_task(name=name, priority=n) for n in range(3) for name in ("x", "y", "z")]
    )
    claimed = await store.claim(WORKER, any_queue(9, handlers={"x": 1, "y": 2}))
    assert Counter(task.name for task in claimed) == {"x": 1, "y": 2, "z": 3}


async def test_a_handler_with_little_room_gets_its_most_urgent_task(store):
    old, urgent, urgent_too = await store.enqueue(
        [
            new_task(name="x", at=LONG_AGO),
            new_task(name="x", priority=9),
            new_task(name="x", priority=9),
        ]
    )
    demand = any_queue(10, handlers={"x": 1})
    assert [ids(await store.claim(WORKER, demand)) for _ in range(3)] == [
        [urgent.id],
        [urgent_too.id],
        [old.id],
    ]


async def test_tasks_of_a_handler_without_room_are_left_alone(store, direct):
    [waiting] = await store.enqueue([new_task(name="x")])
    assert await store.claim(WORKER, any_queue(10, handlers={"x": 0})) == []
    row = live_row(direct, waiting.id)
    assert (row.state, row.lease, row.worker_id) == (TaskState.PENDING, 0, None)


async def test_a_handler_that_has_room_again_gets_its_tasks(store):
    full, free = any_queue(10, handlers={"x": 0}), any_queue(10, handlers={"x": 1})
    added = await store.enqueue([new_task(name="x"), *new_tasks(3)])
    assert len(await store.claim(WORKER, full)) == 3
    assert ids(await store.claim(WORKER, free)) == [added[0].id]


async def test_tasks_that_cannot_run_do_not_hide_those_behind_them(store):
    await store.enqueue(new_tasks(50, name="full"))
    runnable = await store.enqueue(new_tasks(10))
    claimed = await store.claim(WORKER, any_queue(10, handlers={"full": 0}))
    assert ids(claimed) == ids(runnable)


async def test_a_handler_at_its_limit_does_not_hide_those_behind_it(store):
    await store.enqueue(new_tasks(50, name="x"))
    others = await store.enqueue(new_tasks(10))
    [one] = await store.claim(WORKER, any_queue(10, handlers={"x": 1}))
    rest = await store.claim(WORKER, any_queue(10, handlers={"x": 0}))
    assert (one.name, ids(rest)) == ("x", ids(others))


async def test_a_level_that_cannot_run_does_not_starve_the_rest_of_its_queue(store):
    await store.enqueue(new_tasks(5, queue="a", priority=9, name="full"))
    [runnable] = await store.enqueue([new_task(queue="a", priority=5, at=LONG_AGO)])
    await store.enqueue(new_tasks(60, queue="b", priority=5))
    demand = Demand(5, {"a": 2}, others=5, handlers={"full": 0})
    claims = [await store.claim(WORKER, demand) for _ in range(10)]
    assert [len(claim) for claim in claims] == [5] * 10  # the other queue always had more
    assert runnable.id in {task.id for claim in claims for task in claim}


@pytest.mark.parametrize("name", ["x' OR '1'='1", "%", "sen_", "SEND", "{send}", "😀"])
async def test_a_hostile_name_excludes_only_itself(store, name):
    await store.enqueue([new_task(name=name), new_task()])
    claimed = await store.claim(WORKER, any_queue(10, handlers={name: 0}))
    assert [task.name for task in claimed] == ["send"]


# --- queues ---


async def test_a_worker_never_gets_tasks_of_queues_it_does_not_serve(store):  # T4
    await store.enqueue(new_tasks(3, queue="b", priority=9))
    added = await store.enqueue(new_tasks(3, queue="a"))
    assert ids(await claim_all(store, demand=Demand(10, {"a": 10}))) == ids(added)


@pytest.mark.parametrize("queue", HOSTILE_QUEUES)
async def test_a_hostile_queue_name_matches_nothing_else(store, queue):  # T32
    await store.enqueue(new_tasks(3))
    with contextlib.suppress(StoreError):  # PostgreSQL has no NUL, and says so
        assert await store.claim(WORKER, Demand(10, {queue: 10})) == []
    assert len(await claim_all(store)) == 3


@pytest.mark.parametrize("queue", [name for name in HOSTILE_QUEUES if "\0" not in name])
async def test_a_queue_with_a_hostile_name_is_a_queue_like_any_other(store, queue):  # T32
    await store.enqueue(new_tasks(3))
    [added] = await store.enqueue([new_task(queue=queue)])
    assert ids(await store.claim(WORKER, Demand(10, {queue: 10}))) == [added.id]


async def test_a_worker_of_any_queue_finds_queues_nobody_named(store):
    added = await store.enqueue([new_task(queue=f"q{number}") for number in range(30)])
    assert Counter(ids(await claim_all(store))) == Counter(ids(added))


async def test_a_worker_may_serve_many_queues(store):
    names = [f"q{number}" for number in range(40)]
    added = await store.enqueue([new_task(queue=name) for name in names])
    claimed = await store.claim(WORKER, Demand(100, dict.fromkeys(names, 100)))
    assert Counter(ids(claimed)) == Counter(ids(added))


async def test_a_paused_queue_gives_nothing_and_the_others_go_on(store):
    await store.enqueue([new_task(queue="a", priority=9), new_task(queue="b")])
    await store.run(control.pause, "a", None)
    assert [task.queue for task in await claim_all(store)] == ["b"]


# --- marks are only hints ---


async def test_a_task_committed_late_is_found_below_the_mark(store):
    early = await store.enqueue(new_tasks(5))
    assert ids(await store.claim(WORKER, any_queue(3))) == ids(early[:3])
    [late] = await store.enqueue([new_task(at=LONG_AGO)])
    assert set(ids(await claim_all(store))) == {*ids(early[3:]), late.id}


async def test_a_priority_not_seen_before_is_found(store):
    early = await store.enqueue(new_tasks(5))
    await store.claim(WORKER, any_queue(3))
    [urgent] = await store.enqueue([new_task(priority=9)])
    assert set(ids(await claim_all(store))) == {*ids(early[3:]), urgent.id}


async def test_a_claim_after_forgetting_the_marks_starts_with_the_most_urgent(store):
    await store.enqueue(new_tasks(5))
    await store.claim(WORKER, any_queue(3))
    [urgent] = await store.enqueue([new_task(priority=9, at=LONG_AGO)])
    store.levels.forget()
    assert (await store.claim(WORKER, any_queue(1)))[0].id == urgent.id


async def test_a_released_task_is_found_at_its_old_place(store):
    first, *rest = await store.enqueue(new_tasks(5, at=LONG_AGO))
    [claimed] = await store.claim(WORKER, any_queue(1))
    await store.claim(WORKER, any_queue(2))
    await settle(store, claimed, Release())
    store.levels.forget()
    assert ids(await claim_all(store)) == ids([first, *rest[2:]])


async def test_a_claim_whose_answer_is_lost_leaves_a_lease_that_is_its_workers(store, direct):
    await store.enqueue([new_task()])
    task = await claim_one(store)
    lost = replace(task, lease=0)
    assert not await settle(store, lost)
    assert live_row(direct, task.id).worker_id == WORKER


async def test_null_in_optional_columns_is_no_obstacle(store):
    [added] = await store.enqueue([new_task()])
    await change_task(store, added.id, metadata=null(), timeout=None, expires_at=None)
    assert (await claim_one(store)).id == added.id
