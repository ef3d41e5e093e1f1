"""The audit trail: nothing while it is off, every change of a task while it is on."""

import pytest
from sqlalchemy.exc import OperationalError

from celers_worker.core.changes import Changes
from celers_worker.core.errors import Refused
from celers_worker.core.outcome import Cancelled, Release
from celers_worker.store import (
    control,
    history,
    history_triggers,
    make_direct_store,
    make_store,
    migrate,
)
from celers_worker.store.change import change
from celers_worker.store.inspect import TaskFilter
from tests.store.steps import (
    BROKEN,
    DONE,
    FAILURE,
    GONE_WRONG,
    WORKER,
    claim_one,
    enqueue_and_claim,
    execute,
    lost_task,
    new_task,
    new_tasks,
    settle,
)


@pytest.fixture
def direct(database_url):
    """A database of its own, for its triggers come and go."""
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
        yield direct


@pytest.fixture
async def store(database_url, direct):
    store = make_store(database_url)
    await store.open()
    yield store
    await store.close()


async def trail(store, task_id):
    return [
        (one.was and one.was.value, one.state.value, one.lease, one.worker, one.reason)
        for one in await store.run(history.transitions_of, task_id)
    ]


def has_triggers(direct):
    return direct.run(lambda transaction: history_triggers.exist(transaction.connection))


async def test_while_no_queue_has_a_trail_there_are_no_triggers(store, direct):
    assert not has_triggers(direct)
    task = await enqueue_and_claim(store)
    await settle(store, task, DONE)
    assert await trail(store, task.id) == []
    direct.run(history.switch_on, "default")
    assert has_triggers(direct)
    direct.run(history.switch_off, "default")
    assert not has_triggers(direct)


async def test_every_change_of_a_task_is_on_the_trail(store, direct):
    direct.run(history.switch_on, "default")
    task = await enqueue_and_claim(store, max_retries=1)
    await settle(store, task, BROKEN)
    await settle(store, await claim_one(store), GONE_WRONG)
    await store.run(control.requeue, TaskFilter())
    await settle(store, await claim_one(store), DONE)
    assert await trail(store, task.id) == [
        (None, "pending", 0, None, None),
        ("pending", "processing", 1, WORKER, None),
        ("processing", "pending", 1, WORKER, str(FAILURE)),
        ("pending", "processing", 3, WORKER, None),
        ("processing", "failed", 3, WORKER, f"gave up: {FAILURE}"),
        ("failed", "pending", 4, None, "made pending again"),
        ("pending", "processing", 5, WORKER, None),
        ("processing", "completed", 5, WORKER, None),
    ]


async def test_times_on_the_trail_do_not_go_back(store, direct):
    direct.run(history.switch_on, "default")
    task = await enqueue_and_claim(store)
    await settle(store, task, DONE)
    instants = [one.at for one in await store.run(history.transitions_of, task.id)]
    assert len(instants) == 3
    assert instants == sorted(instants)
    assert all(instant.tzinfo for instant in instants)


async def test_what_a_person_does_is_on_the_trail(store, direct):
    direct.run(history.switch_on, "default")
    [task] = await store.enqueue([new_task()])
    await store.run(change, task.id, Changes(priority=4))
    await store.run(change, task.id, Changes(delay="0s"))
    claimed = await claim_one(store)
    await store.run(control.cancel, TaskFilter(ids=[task.id]), "not wanted")
    await settle(store, claimed, Cancelled("not wanted"))
    reasons = [line[4] for line in await trail(store, task.id)]
    assert reasons == [
        None,
        "priority was 0",
        "rescheduled",
        None,
        "asked to stop: not wanted",
        "not wanted",
    ]


async def test_a_release_and_a_lost_worker_are_on_the_trail(store, direct):
    direct.run(history.switch_on, "default")
    from celers_worker.store import maintenance

    task = await lost_task(store)
    await store.run(maintenance.reap, max_crashes=3)
    await settle(store, await claim_one(store), Release())
    lines = await trail(store, task.id)
    assert [(line[1], line[2]) for line in lines] == [
        ("pending", 0),
        ("processing", 1),
        ("pending", 1),
        ("processing", 3),
        ("pending", 3),
    ]
    assert "stopped renewing its lease" in lines[2][4]
    assert lines[4][4] is None


async def test_only_the_queues_that_have_one_leave_a_trail(store, direct):
    direct.run(history.switch_on, "a")
    [one, other] = await store.enqueue([new_task(queue="a"), new_task(queue="A")])
    assert len(await trail(store, one.id)) == 1
    assert await trail(store, other.id) == []
    await store.run(change, other.id, Changes(queue="a"))
    assert await trail(store, other.id) == [(None, "pending", 0, None, "moved from queue A")]


async def test_many_tasks_at_once_are_all_on_the_trail(store, direct):
    direct.run(history.switch_on, "default")
    added = await store.enqueue(new_tasks(50))
    for task in added:
        assert len(await trail(store, task.id)) == 1


def test_queues_are_switched_by_themselves(direct):
    assert direct.run(history.switch_on, "a")
    assert not direct.run(history.switch_on, "a")
    assert direct.run(history.switch_on, "b")
    assert list(direct.run(history.audited_queues)) == ["a", "b"]
    assert direct.run(history.switch_off, "a")
    assert not direct.run(history.switch_off, "a")
    assert has_triggers(direct)
    assert direct.run(history.switch_off, "b")
    assert not has_triggers(direct)


async def test_the_trail_is_kept_for_its_time_and_goes_in_batches(store, direct):
    from datetime import timedelta

    direct.run(history.switch_on, "default")
    await store.enqueue(new_tasks(5))
    assert direct.run(history.prune, timedelta(hours=1)) == 0
    counts = [direct.run(history.prune, timedelta(seconds=-60), limit=2) for _ in range(4)]
    assert counts == [2, 2, 1, 0]


def test_a_migration_down_takes_the_triggers_away(direct):
    direct.run(history.switch_on, "default")
    while (undone := migrate.downgrade(direct)) not in ("0007", None):
        pass
    if undone is not None:
        direct.enqueue([new_task()])  # a trigger that was left would refuse it


def test_half_of_the_triggers_are_made_whole(direct):
    direct.run(history.switch_on, "a")
    where = " ON celers_tasks" if direct.url.get_backend_name() == "postgresql" else ""
    execute(direct, f"DROP TRIGGER celers_history_changed{where}")
    assert not has_triggers(direct)
    direct.run(history.switch_on, "b")
    assert has_triggers(direct)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (1419, "log_bin_trust_function_creators = 1"),
        (1142, "GRANT TRIGGER"),
        (1227, "GRANT TRIGGER"),
    ],
)
def test_what_a_server_refuses_is_named_with_its_remedy(code, remedy):
    error = OperationalError("CREATE TRIGGER", {}, Exception(code, "the server's own words"))
    with pytest.raises(Refused, match=remedy):
        history_triggers.explain(error)
