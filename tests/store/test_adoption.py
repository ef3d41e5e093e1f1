"""Rows that a CeleRS producer inserts, with its own columns and nothing else, run (T36)."""

import contextlib
import json
from uuid import UUID, uuid4

import pytest

from celers_worker.core.errors import StoreError
from celers_worker.core.payload import decode_arguments
from celers_worker.core.task import Demand, TaskState
from celers_worker.store import inspect
from tests.store.steps import WORKER, any_queue, claim_all, execute, live_row, new_tasks, settle

INSERT = (
    "INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, metadata,"
    " created_at, scheduled_at)"
    " VALUES (:id, :name, :payload, 'pending', :priority, 3, :metadata, {now}, {now})"
)
#: What CeleRS 0.2 writes about every task.
RUST = {
    "queue": "emails",
    "enqueued_at": "2026-03-28T12:34:56.123456789+00:00",
    "id": "0b9f2c52-5a0e-4c0e-9d57-2c6f5f3b8a11",
    "name": "send_email",
    "state": "Pending",
    "created_at": "2026-03-28T12:34:56.123400Z",
    "updated_at": "2026-03-28T12:34:56.123400Z",
    "max_retries": 3,
    "timeout_secs": None,
    "priority": 0,
}
GROUP = "9c7f3c34-0b0f-4c1b-8d4e-000000000001"


@pytest.fixture
def produce(direct):
    """Inserts as CeleRS does; metadata as a dict, as text, or None."""
    sqlite = direct.url.get_backend_name() == "sqlite"
    now = "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now')" if sqlite else "NOW()"

    def insert(metadata, *, payload=b'{"to":"a@b.c","n":1}', priority=0, task_id=None):
        task_id = task_id or str(uuid4())
        document = metadata if isinstance(metadata, str | None) else json.dumps(metadata)
        values = {"name": "send_email", "payload": payload, "priority": priority}
        execute(direct, INSERT.format(now=now), id=task_id, metadata=document, **values)
        return UUID(task_id)

    return insert


async def test_a_row_of_a_rust_producer_runs(produce, store):
    task_id = produce(RUST)
    [task] = await store.claim(WORKER, Demand(10, {"emails": 10}))
    assert (task.id, task.name, task.queue) == (task_id, "send_email", "emails")
    assert (task.lease, task.priority, task.max_retries, task.timeout) == (1, 0, 3, None)
    assert decode_arguments(task.payload) == ([], {"to": "a@b.c", "n": 1})
    assert await settle(store, task)


@pytest.mark.parametrize(
    "more",
    [
        {"scheduled_for": 1774701296},
        {"delay_seconds": 60},
        {"priority": 9, "timeout_secs": 30, "group_id": GROUP},
        {"chord_id": GROUP},
        {"retry_policy": {"max_retries": 5, "strategy": {"Fixed": 5}}},
        {"trace_context": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "trace_flags": "01"}},
        {"state": {"Retrying": 2}, "progress": '{"percent": 7}'},
        {"chain_id": GROUP, "chain_position": 0, "chain_total": 3, "stop_on_failure": True},
        {"id": GROUP, "priority": 0, "max_retries": 99},
    ],
    ids=lambda more: next(iter(more)),
)
async def test_every_kind_of_rust_row_runs(produce, store, more):
    task_id = produce(RUST | more)
    [task] = await store.claim(WORKER, Demand(10, {"emails": 10}))
    assert task.id == task_id
    assert await settle(store, task)
    view = await store.run(inspect.task, task_id)
    assert (view.state, view.metadata) == (TaskState.COMPLETED, RUST | more)


async def test_the_columns_win_over_the_metadata(produce, store):
    task_id = produce(RUST | {"priority": 1, "name": "other", "max_retries": 9}, priority=7)
    [task] = await store.claim(WORKER, any_queue(10))
    assert (task.id, task.name, task.priority) == (task_id, "send_email", 7)
    assert task.max_retries == 3


async def test_timeout_and_group_are_read_from_the_metadata(produce, store, direct):
    task_id = produce(RUST | {"timeout_secs": 30, "group_id": GROUP, "chord_id": GROUP})
    [task] = await store.claim(WORKER, any_queue(10))
    row = live_row(direct, task_id)
    assert (task.timeout, row.group_id, row.chord_id) == (30, GROUP, GROUP)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"group_id": "any text, not a UUID, and longer than thirty-six characters"},
        {"queue": None},
        {"queue": 7},
        {"queue": ["emails"]},
        {"queue": ""},
        {"queue": "q" * 129},
        "null",
        "[]",
        '"emails"',
        "3",
    ],
)
async def test_without_a_usable_queue_in_the_metadata_it_is_the_default_one(
    produce, store, metadata
):
    task_id = produce(metadata)
    [task] = await store.claim(WORKER, Demand(10, {"default": 10}))
    assert (task.id, task.queue) == (task_id, "default")


@pytest.mark.parametrize(
    "timeout", ["0", "-5", '"30"', "true", "1e308", "1" + "0" * 400, "18446744073709551615"]
)
async def test_an_impossible_timeout_in_the_metadata_is_no_timeout(produce, store, timeout):
    # A claim that failed on one row would fail for ever, for every task.
    produce(f'{{"queue": "emails", "timeout_secs": {timeout}}}')
    [task] = await store.claim(WORKER, any_queue(10))
    assert task.timeout is None


async def test_a_queue_that_is_no_text_of_any_database_does_not_stop_the_claim(produce, store):
    [ours] = await store.enqueue(new_tasks(1))
    with contextlib.suppress(StoreError):  # where the database refuses it, nothing is to be feared
        produce('{"queue": "\\ud800"}')
    assert ours.id in {task.id for task in await claim_all(store)}


async def test_a_hostile_queue_name_in_the_metadata_is_only_a_name(produce, store):
    produce(RUST | {"queue": "x') OR 1=1 --"})
    assert await store.claim(WORKER, Demand(10, {"emails": 10})) == []
    [task] = await store.claim(WORKER, any_queue(10))
    assert task.queue == "x') OR 1=1 --"


async def test_foreign_rows_of_other_queues_are_left_to_their_workers(produce, store, direct):
    task_id = produce(RUST)
    assert await store.claim(WORKER, Demand(10, {"default": 10})) == []
    assert live_row(direct, task_id).state == "pending"


async def test_foreign_rows_take_their_place_among_ours(produce, store):
    await store.enqueue(new_tasks(2, priority=1, queue="emails"))
    produce(RUST, priority=9)
    produce(RUST, priority=0)
    assert [task.priority for task in await claim_all(store)] == [9, 1, 1, 0]


async def test_more_foreign_rows_than_one_adoption_takes_are_all_found(store, direct):
    # Adoption takes 500 at a time, and all of them lie in front of what it would find next.
    added = await store.enqueue(new_tasks(1_100))
    execute(direct, "UPDATE celers_tasks SET queue_name = ''")
    assert {task.id for task in await claim_all(store)} == {task.id for task in added}


async def test_an_id_in_capitals_is_claimed_and_settled_once(produce, store, direct):
    task_id = produce(RUST, task_id=str(uuid4()).upper())
    [task] = await store.claim(WORKER, any_queue(10))
    assert task.id == task_id
    assert await store.claim(WORKER, any_queue(10)) == []
    assert await settle(store, task)
    assert await claim_all(store) == []


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe not text", b"null", b"[1,2]"])
async def test_any_payload_of_a_foreign_producer_is_handed_out(produce, store, payload):
    produce(None, payload=payload)
    [task] = await store.claim(WORKER, any_queue(10))
    assert task.payload == payload


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)  # the others refuse such a row
async def test_metadata_that_is_not_json_stops_no_claim(produce, store):
    broken, sound = produce("{not json"), produce(RUST)

    claimed = await claim_all(store)

    assert {task.id: task.queue for task in claimed} == {broken: "default", sound: "emails"}
