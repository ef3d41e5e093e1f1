"""What people look at: lists, counts, one task with its history."""

from datetime import timedelta

import pytest

from celers_worker.core.errors import PayloadError
from celers_worker.core.outcome import Cancelled, Completed, Expired, Retry
from celers_worker.core.task import TaskState, new_id
from celers_worker.store import control, inspect, survey
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.maintenance import register
from celers_worker.store.results import Ending, ending_of
from tests.store.steps import (
    BROKEN,
    DONE,
    FAILURE,
    GONE_WRONG,
    LEASE,
    WORKER,
    bury,
    change_task,
    claim_one,
    enqueue_and_claim,
    execute,
    ids,
    lose_worker,
    new_task,
    new_tasks,
    settle,
    start_worker,
    worker_card,
)


async def list_tasks(store, wanted=None, **page):
    return await store.run(inspect.list_tasks, wanted or TaskFilter(), **page)


async def queue_view(store, name="default"):
    [view] = [view for view in await store.run(survey.list_queues) if view.name == name]
    return view


@pytest.fixture
async def one_of_each(store):
    """A task in every state but blocked, by state, from the oldest to the newest."""
    found = {}
    outcomes = {
        TaskState.COMPLETED: DONE,
        TaskState.CANCELLED: Cancelled("stopped"),
        TaskState.EXPIRED: Expired(),
        TaskState.FAILED: GONE_WRONG,
    }
    for state, outcome in outcomes.items():
        task = await enqueue_and_claim(store, name=f"to.be.{state}")
        await settle(store, task, outcome)
        found[state] = task.id
    found[TaskState.PROCESSING] = (await enqueue_and_claim(store)).id
    [waiting] = await store.enqueue([new_task(queue="b")])
    found[TaskState.PENDING] = waiting.id
    return found


# --- tasks ---


async def test_a_task_is_found_wherever_it_is_kept(store, one_of_each):
    for state, task_id in one_of_each.items():
        view = await store.run(inspect.task, task_id)
        assert (view.id, view.state) == (task_id, state)


async def test_a_task_that_never_was_is_not_found(store):
    assert await store.run(inspect.task, new_id()) is None
    assert await store.run(ending_of, new_id()) is None
    assert await store.run(inspect.attempts_of, new_id()) == []


async def test_a_view_tells_everything_about_a_waiting_task(store):
    wanted = new_task(
        name="shop.send",
        queue="emails",
        priority=-2,
        max_retries=9,
        delay=timedelta(hours=1),
        timeout=timedelta(seconds=30),
        expires=timedelta(hours=2),
        unique_key="k",
        fingerprint="f",
        payload=b'{"a":1}',
        metadata={"who": "😀"},
    )
    await store.enqueue([wanted])
    view = await store.run(inspect.task, wanted.id)
    assert (view.name, view.queue, view.state) == ("shop.send", "emails", TaskState.PENDING)
    assert (view.priority, view.max_retries, view.timeout) == (-2, 9, 30)
    assert (view.unique_key, view.fingerprint) == ("k", "f")
    assert (view.payload, view.metadata) == (b'{"a":1}', {"who": "😀"})
    assert view.scheduled_at - view.created_at == timedelta(hours=1)
    assert view.expires_at - view.created_at == timedelta(hours=2)
    assert (view.started_at, view.completed_at, view.worker) == (None, None, None)
    assert (view.retry_count, view.crash_count, view.lease) == (0, 0, 0)
    assert (view.error, view.reason, view.cancel_requested) == (None, None, False)


async def test_a_view_of_a_running_task_tells_who_runs_it_and_whether_it_should_stop(store):
    task = await enqueue_and_claim(store, "w-7")
    await store.run(control.cancel, TaskFilter(ids=[task.id]), "user left")
    view = await store.run(inspect.task, task.id)
    assert (view.worker, view.lease, view.attempt) == ("w-7", 1, 1)
    assert (view.cancel_requested, view.reason) == (True, "user left")


async def test_an_undecodable_payload_does_not_hide_its_task(store):
    await store.enqueue([new_task(payload=b"\xff\0")])
    [view] = await list_tasks(store)
    assert view.payload == b"\xff\0"


async def test_pages_have_every_task_once_the_newest_first(store, one_of_each):
    added = ids(await store.enqueue(new_tasks(12)))
    pages, last = [], None
    while page := await list_tasks(store, limit=5, before=last):
        pages.append(ids(page))
        last = page[-1].id
    assert [len(page) for page in pages] == [5, 5, 5, 3]
    assert [task_id for page in pages for task_id in page] == sorted(
        [*one_of_each.values(), *added], reverse=True
    )


@pytest.mark.parametrize(
    "wanted",
    [
        (TaskFilter(), [*TaskState][1:]),
        (TaskFilter(states=[TaskState.PENDING, TaskState.FAILED]), ["pending", "failed"]),
        (TaskFilter(states=[TaskState.EXPIRED]), ["expired"]),
        (TaskFilter(states=[TaskState.BLOCKED]), []),
        (TaskFilter(queue="b"), ["pending"]),
        (TaskFilter(name="to.be.cancelled"), ["cancelled"]),
        (TaskFilter(name="to.be.%"), []),
        (TaskFilter(worker=WORKER), ["processing", "completed", "cancelled", "expired", "failed"]),
        (TaskFilter(text="no such user"), ["failed"]),
        (TaskFilter(text="STOPPED"), ["cancelled"]),
        (TaskFilter(states=[TaskState.COMPLETED], queue="b"), []),
    ],
)
async def test_a_list_and_its_count_have_what_the_filter_means(store, one_of_each, wanted):
    task_filter, states = wanted
    found = await list_tasks(store, task_filter)
    assert {view.state for view in found} == {*states}
    assert await store.run(inspect.count_tasks, task_filter) == len(found) == len(states)


async def test_tasks_are_found_by_key_fingerprint_and_id(store):
    await store.enqueue(new_tasks(3))
    [wanted] = await store.enqueue([new_task(unique_key="K", fingerprint="f")])
    for task_filter in (
        TaskFilter(unique_key="K"),
        TaskFilter(fingerprint="f"),
        TaskFilter(ids=[wanted.id, new_id()]),
    ):
        assert ids(await list_tasks(store, task_filter)) == [wanted.id]
    assert await list_tasks(store, TaskFilter(unique_key="k")) == []


async def test_the_age_of_a_live_task_counts_from_its_enqueue(store, direct):
    await store.enqueue(new_tasks(2))
    assert await list_tasks(store, TaskFilter(older_than=timedelta(minutes=1))) == []
    assert len(await list_tasks(store, TaskFilter(older_than=timedelta(0)))) in (0, 2)


# --- how it ended ---


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        (Completed(b'{"sum":3}'), Ending(state=TaskState.COMPLETED, result=b'{"sum":3}')),
        (DONE, Ending(state=TaskState.COMPLETED)),
        (Cancelled("stopped"), Ending(state=TaskState.CANCELLED, error="stopped")),
        (Expired(), Ending(state=TaskState.EXPIRED)),
        (
            GONE_WRONG,
            Ending(
                state=TaskState.FAILED,
                error=str(FAILURE),
                error_type=FAILURE.type,
                traceback=FAILURE.traceback,
            ),
        ),
        (BROKEN, Ending(state=TaskState.PENDING, error=str(FAILURE))),
    ],
)
async def test_who_waits_for_a_task_learns_how_it_ended(store, outcome, ending):
    task = await enqueue_and_claim(store)
    await settle(store, task, outcome)
    assert await store.run(ending_of, task.id) == ending


async def test_a_result_that_is_not_json_says_so(store, direct):
    task = await enqueue_and_claim(store)
    await settle(store, task, Completed(b"1"))
    execute(direct, "UPDATE celers_task_results SET result = :broken", broken=b"{")
    with pytest.raises(PayloadError, match="not JSON"):
        _ = (await store.run(ending_of, task.id)).value


# --- queues ---


async def test_a_queue_is_counted_by_state(store):
    await bury(store)
    await enqueue_and_claim(store)
    await store.enqueue([*new_tasks(3), *new_tasks(2, delay=timedelta(hours=1))])
    [blocked] = await store.enqueue([new_task()])
    await change_task(store, blocked.id, state=TaskState.BLOCKED.value)
    view = await queue_view(store)
    assert (view.pending, view.scheduled, view.blocked) == (3, 2, 1)
    assert (view.processing, view.dead, view.workers) == (1, 1, 0)
    assert 0 <= view.oldest_pending < 5
    assert (view.paused_at, view.paused_reason) == (None, None)


async def test_queues_are_listed_by_name_with_only_what_is_theirs(store):
    await bury(store, queue="only-dead")
    await store.enqueue([new_task(queue="b"), new_task(queue="a"), new_task(queue="a")])
    await store.run(control.pause, "only-paused", "deploying")
    views = await store.run(survey.list_queues)
    assert [(view.name, view.pending, view.dead) for view in views] == [
        ("a", 2, 0),
        ("b", 1, 0),
        ("only-dead", 0, 1),
        ("only-paused", 0, 0),
    ]
    assert views[3].paused_reason == "deploying"
    assert views[3].paused_at is not None


async def test_a_queue_without_due_tasks_has_no_oldest_one(store):
    await store.enqueue([new_task(delay=timedelta(hours=1))])
    assert (await queue_view(store)).oldest_pending is None


async def test_the_age_of_the_oldest_counts_from_when_it_was_due(store, direct):
    await store.enqueue(new_tasks(2))
    past = {
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '-90 seconds')",
        "mysql": "UTC_TIMESTAMP(6) - INTERVAL 90 SECOND",
    }.get(store.url.get_backend_name(), "now() - interval '90 seconds'")
    execute(direct, f"UPDATE celers_tasks SET scheduled_at = {past}")
    assert 90 <= (await queue_view(store)).oldest_pending < 100


async def test_the_workers_of_a_queue_are_those_that_serve_it(store):
    await store.run(register, worker_card("one", queues=["a", "b"]), LEASE)
    await store.run(register, worker_card("any", queues=[]), LEASE)
    await store.run(register, worker_card("gone", queues=["b"]), LEASE)
    await lose_worker(store, "gone")
    await store.enqueue([new_task(queue="c")])
    views = await store.run(survey.list_queues)
    assert {view.name: view.workers for view in views} == {"a": 2, "b": 2, "c": 1}


async def test_nothing_is_listed_of_an_empty_database(store):
    assert await list_tasks(store) == []
    assert await store.run(survey.list_queues) == []
    assert await store.run(survey.list_workers) == []
    assert await store.run(inspect.count_tasks, TaskFilter()) == 0


# --- workers, attempts, names ---


async def test_workers_are_listed_in_the_order_they_started(store):
    for worker in ("w2", "w1", "w3"):
        await start_worker(store, worker)
    assert ids(await store.run(survey.list_workers)) == ["w2", "w1", "w3"]


async def test_attempts_are_listed_from_the_first(store):
    await store.enqueue(new_tasks(1, max_retries=5))
    for _ in range(3):
        await settle(store, await claim_one(store), Retry(timedelta(0), FAILURE))
    task = await claim_one(store)
    attempts = await store.run(inspect.attempts_of, task.id)
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert attempts == sorted(attempts, key=lambda attempt: attempt.failed_at)


async def test_names_that_nobody_handles_are_counted(store):
    await store.enqueue([new_task(name=name) for name in ("x", "y", "y", "Y", "send")])
    assert await store.run(survey.unhandled_names, ["send", "x"]) == {"y": 2, "Y": 1}
    assert len(await store.run(survey.unhandled_names, [])) == 4
