"""What was enqueued is what a worker is given, whichever way it was enqueued."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from celers_worker.core.errors import StoreError
from celers_worker.core.task import Enqueued, TaskState
from celers_worker.store import inspect
from tests.store.steps import (
    DONE,
    GONE_WRONG,
    any_queue,
    claim_all,
    claim_one,
    ids,
    live_row,
    live_rows,
    new_task,
    new_tasks,
    settle,
)

HOSTILE_PAYLOAD = b"\0'\"\\`;--/*%s%(x)s:name?$1{}\xff\xfe\r\n\x1a"
NOON_IN_INDIA = datetime(2031, 5, 17, 12, 0, 0, 123457, timezone(timedelta(hours=5, minutes=30)))


@pytest.fixture(params=["async", "sync"])
def enqueue(request, store, direct):
    """Enqueues, as an application with an event loop does and as one without."""

    async def without_loop(tasks):
        return direct.enqueue(tasks)

    return store.enqueue if request.param == "async" else without_loop


async def test_a_task_is_handed_out_as_it_was_enqueued(enqueue, store):
    wanted = new_task(
        name="shop.send",
        payload=b'{"user":1}',
        queue="emails",
        priority=-7,
        max_retries=5,
        timeout=timedelta(seconds=1.5),
    )
    assert await enqueue([wanted]) == [Enqueued(wanted.id)]
    task = await claim_one(store)
    assert (task.id, task.name, task.payload) == (wanted.id, "shop.send", b'{"user":1}')
    assert (task.queue, task.priority, task.max_retries) == ("emails", -7, 5)
    assert (task.timeout, task.retry_count, task.crash_count) == (1.5, 0, 0)
    assert (task.attempt, task.expired) == (1, False)


async def test_a_plain_task_is_due_at_once_by_the_database_clock(enqueue, store):
    await enqueue([new_task()])
    task = await claim_one(store)
    assert task.created_at == task.scheduled_at <= task.started_at
    assert task.created_at.utcoffset() == timedelta(0)


async def test_every_way_to_enqueue_writes_the_same_row(store, direct):
    at = datetime(2031, 1, 1, tzinfo=UTC)
    changes = {
        "queue": "emails",
        "priority": 3,
        "timeout": timedelta(minutes=1),
        "fingerprint": "abc",
        "metadata": {"trace": ["😀"]},
        "at": at,
    }
    await store.enqueue([new_task(**changes)])
    direct.enqueue([new_task(**changes)])
    # With a unique key a database may take another way.
    await store.enqueue([new_task(**changes, unique_key="k")])
    first, second, third = ({**row._mapping} for row in live_rows(direct))
    for row in (first, second, third):
        del row["id"], row["created_at"], row["unique_key"]
    assert first == second == third


DIFFERENCES = {
    "name": "another",
    "payload": b"[1]",
    "queue": "emails",
    "priority": 3,
    "max_retries": 9,
    "delay": timedelta(hours=2),
    "at": datetime(2031, 1, 1, tzinfo=UTC),
    "timeout": timedelta(seconds=1.5),
    "expires": timedelta(days=2),
    "fingerprint": "abc",
    "metadata": {"trace": ["😀"]},
}
#: What a statement reads from the clock is different in each.
MOMENTS = ("id", "created_at", "scheduled_at", "expires_at")


@pytest.mark.parametrize("differing", [*((name,) for name in DIFFERENCES), tuple(DIFFERENCES)])
async def test_a_batch_writes_the_rows_that_its_tasks_write_alone(
    enqueue, store, direct, differing
):
    # PostgreSQL is sent once what all tasks of a batch have in common.
    wanted = [new_task(), new_task(**{name: DIFFERENCES[name] for name in differing}), new_task()]
    await enqueue(wanted)
    together = {row.id: row for row in live_rows(direct)}
    await store.run(lambda transaction: transaction.delete(ids(wanted)))
    for task in wanted:
        await enqueue([task])
    for alone in live_rows(direct):
        row = together[alone.id]
        for name in alone._mapping:
            if name not in MOMENTS:
                assert getattr(row, name) == getattr(alone, name)
        for name in ("scheduled_at", "expires_at"):
            one, other = ahead(row, name), ahead(alone, name)
            assert (one is None) == (other is None)
            assert one is None or abs(one - other) < timedelta(minutes=5)


def ahead(row, name):
    value = getattr(row, name)
    return None if value is None else value - row.created_at


async def test_a_large_batch_comes_back_in_its_order(enqueue, store):
    wanted = new_tasks(2_300)
    assert ids(await enqueue(wanted)) == ids(wanted)
    assert ids(await claim_all(store)) == ids(wanted)


async def test_an_empty_batch_adds_nothing(enqueue, direct):
    assert await enqueue([]) == []
    assert live_rows(direct) == []


async def test_a_delay_counts_from_the_database_clock(enqueue, store, direct):
    [added] = await enqueue([new_task(delay=timedelta(minutes=10, milliseconds=500))])
    row = live_row(direct, added.id)
    assert row.scheduled_at - row.created_at == timedelta(minutes=10, milliseconds=500)
    assert await claim_all(store) == []


@pytest.mark.parametrize("instant", [NOON_IN_INDIA, NOON_IN_INDIA.astimezone(UTC)])
async def test_an_instant_survives_to_the_microsecond_in_any_time_zone(enqueue, direct, instant):
    [added] = await enqueue([new_task(at=instant, delay=timedelta(days=1))])
    assert live_row(direct, added.id).scheduled_at == NOON_IN_INDIA


async def test_an_instant_without_a_time_zone_is_refused(enqueue, direct):
    with pytest.raises(Exception, match="has no time zone"):
        await enqueue([new_task(at=datetime(2031, 1, 1))])
    assert live_rows(direct) == []


async def test_an_instant_in_the_past_is_due(enqueue, store):
    [added] = await enqueue([new_task(at=datetime(1999, 12, 31, tzinfo=UTC))])
    assert ids(await claim_all(store)) == [added.id]


@pytest.mark.parametrize(
    "payload", [b"", HOSTILE_PAYLOAD, bytes(range(256)) * 4096], ids=["empty", "hostile", "1 MiB"]
)
async def test_payload_bytes_are_kept_as_they_are(enqueue, store, payload):
    await enqueue([new_task(payload=payload)])
    assert (await claim_one(store)).payload == payload


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"who": "Zoë 😀 '\"\\;--", "deep": {"list": [1, 2.5, None, True]}},
        {"a:b": ":name %(x)s %s ? $1"},
    ],
)
async def test_metadata_survive_whatever_the_characters(enqueue, store, metadata):
    [added] = await enqueue([new_task(metadata=metadata)])
    view = await store.run(inspect.task, added.id)
    assert view.metadata == metadata


async def test_a_hostile_name_is_data(enqueue, store):
    name = "x'); DROP TABLE celers_tasks;-- 😀"
    await enqueue([new_task(name=name, fingerprint=name)])
    assert (await claim_one(store)).name == name


async def test_a_task_expires_so_long_after_it_was_enqueued(enqueue, direct):
    [added] = await enqueue([new_task(expires=timedelta(hours=1))])
    row = live_row(direct, added.id)
    assert row.expires_at - row.created_at == timedelta(hours=1)


async def test_a_batch_with_an_impossible_task_adds_nothing(enqueue, direct):
    twice = new_task()
    with pytest.raises(StoreError, match="cannot store this"):
        await enqueue([new_task(), twice, twice])
    assert live_rows(direct) == []


async def test_an_enqueue_that_fails_does_not_fail_those_beside_it(store, direct):
    batches = [batch for _ in range(5) for batch in (new_tasks(1), [new_task()] * 2, new_tasks(2))]
    answers = await asyncio.gather(*map(store.enqueue, batches), return_exceptions=True)
    assert [isinstance(answer, StoreError) for answer in answers] == [False, True, False] * 5
    assert len(live_rows(direct)) == 15


async def test_an_enqueue_in_a_transaction_that_is_rolled_back_leaves_nothing(direct):
    with direct.engine.connect() as connection:
        direct.transaction(connection).enqueue([new_task()])
        connection.rollback()
    assert live_rows(direct) == []


# --- an enqueue whose answer was lost is asked again ---


@pytest.fixture(params=[None, "key"])
def sent(request):
    return new_task(unique_key=request.param)


async def again(store, task):
    """Enqueue as after a lost answer."""
    return await store.run(store.transaction.enqueue, [task], repeated=True)


async def test_a_repeated_enqueue_adds_what_is_missing(store, direct, sent):
    assert await again(store, sent) == [Enqueued(sent.id)]
    assert ids(live_rows(direct)) == [sent.id]


async def test_a_repeated_enqueue_adds_nothing_twice(store, direct, sent):
    await store.enqueue([sent])
    assert await again(store, sent) == [Enqueued(sent.id)]
    assert ids(live_rows(direct)) == [sent.id]


@pytest.mark.parametrize(
    ("outcome", "state"), [(DONE, TaskState.COMPLETED), (GONE_WRONG, TaskState.FAILED)]
)
async def test_a_repeated_enqueue_revives_nothing_that_has_ended(
    store, direct, sent, outcome, state
):
    await store.enqueue([sent])
    await settle(store, await claim_one(store), outcome)
    assert await again(store, sent) == [Enqueued(sent.id)]
    assert live_rows(direct) == []
    assert (await store.run(inspect.task, sent.id)).state is state


async def test_a_repeated_batch_adds_only_what_is_missing(store, direct):
    batch = [*new_tasks(3), new_task(unique_key="a"), new_task(unique_key="b")]
    await store.enqueue(batch[::2])
    added = await store.run(store.transaction.enqueue, batch, repeated=True)
    assert added == [Enqueued(task.id) for task in batch]
    assert ids(live_rows(direct)) == ids(batch)


async def test_a_waiting_worker_hears_of_an_enqueue(store, open_store):
    sleeper = await open_store()
    wakeups = sleeper.wakeups()
    await anext(wakeups)
    assert await sleeper.claim("w", any_queue(1)) == []
    await store.enqueue([new_task()])
    await anext(wakeups)
    assert len(await claim_all(sleeper)) == 1
    await wakeups.aclose()
