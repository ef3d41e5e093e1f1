"""Asking a task how it is, waiting for it, cancelling it."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from celers_worker import (
    Cancel,
    Celers,
    Context,
    Dead,
    Options,
    ResultTimeout,
    Snooze,
    TaskFailed,
    Worker,
    backoff,
    testing,
)
from celers_worker.core.errors import TaskNotFound
from celers_worker.core.task import TaskState
from celers_worker.store.direct import DirectStore
from tests.store.steps import change_task, live_rows
from tests.waiting import eventually


async def ended(app: Celers, name: str = "work", **arguments: Any) -> Any:
    """A task that was enqueued and run."""
    task = await app.enqueue(name, **arguments)
    await testing.drain(app)
    return task


def test_a_handle_is_that_of_its_task_whoever_holds_it(app: Celers) -> None:
    one, other = uuid4(), uuid4()
    handle = app.task_by_id(one)
    assert handle == Celers().task_by_id(str(one))
    assert len({handle, Celers().task_by_id(one), app.task_by_id(other)}) == 2
    assert handle != app.task_by_id(other)
    assert handle != one
    assert repr(handle) == f"EnqueuedTask(id={one!r}, existing=False)"
    with pytest.raises(AttributeError):
        handle.id = other  # type: ignore[misc]  # to assign to what is frozen is the test


# --- results ---


@pytest.mark.parametrize(
    "value", [None, 0, "", False, [], "hello", {"a": [1, 2.5, None, "é"]}, 2**70], ids=repr
)
async def test_a_result_is_what_the_handler_returned(app: Celers, value: Any) -> None:
    # T5
    @app.task()
    async def work() -> Any:
        return value

    task = await ended(app)
    assert await task.result() == value
    assert task.result_sync() == value
    assert await task.state() is TaskState.COMPLETED


async def test_the_result_of_a_task_that_failed_is_an_error_with_the_handlers_words(
    app: Celers,
) -> None:
    # T5
    @app.task(max_retries=0)
    def work() -> None:
        raise ValueError("no such user")

    task = await ended(app)
    for wait in (task.result, lambda: asyncio.to_thread(task.result_sync)):
        with pytest.raises(TaskFailed, match="failed: ValueError: no such user") as failed:
            await wait()
        assert failed.value.state == TaskState.FAILED
        assert failed.value.error == "ValueError: no such user"
        assert 'raise ValueError("no such user")' in str(failed.value.traceback)
    assert await task.state() is TaskState.FAILED


async def test_the_result_of_a_task_that_was_cancelled_is_an_error_with_the_reason(
    app: Celers,
) -> None:
    # T5
    @app.task()
    def work() -> None: ...

    task = await work.with_(delay="1h").enqueue()
    assert await task.cancel("changed my mind")
    with pytest.raises(TaskFailed, match="cancelled: changed my mind") as failed:
        await task.result()
    assert (failed.value.state, failed.value.traceback) == (TaskState.CANCELLED, None)


async def test_the_result_of_a_task_that_expired_is_an_error(app: Celers) -> None:
    @app.task()
    def work() -> None:
        raise AssertionError("it is too late")

    task = await work.with_(expires=0).enqueue()
    await testing.drain(app)
    with pytest.raises(TaskFailed) as failed:
        await task.result()
    assert failed.value.state == TaskState.EXPIRED


@pytest.mark.parametrize("signal", [Cancel("not needed"), Dead("hopeless")], ids=repr)
async def test_a_signal_of_the_handler_reaches_who_waits(app: Celers, signal: Exception) -> None:
    @app.task()
    def work() -> None:
        raise signal

    task = await ended(app)
    with pytest.raises(TaskFailed, match=str(signal)):
        await task.result()


async def test_a_task_that_fails_and_then_succeeds_has_a_result(app: Celers) -> None:
    # T26
    @app.task(backoff=backoff.immediate())
    def work(*, context: Context) -> int:
        if context.attempt < 3:
            raise ValueError("not yet")
        return context.attempt

    task = await ended(app)
    assert await task.result() == 3


async def test_a_result_that_cannot_be_stored_is_a_failure_and_not_run_again(
    app: Celers,
) -> None:
    calls = []

    @app.task()
    def work() -> object:
        calls.append(1)
        return object()

    task = await ended(app)
    with pytest.raises(TaskFailed, match="result is a object, which is not JSON"):
        await task.result()
    assert len(calls) == 1


# --- waiting ---


async def test_who_waits_is_told_when_the_task_ends(app: Celers) -> None:
    # T26
    finish = threading.Event()

    @app.task()
    def work() -> str:
        finish.wait(10)
        return "done"

    task = await app.enqueue("work")
    async with Worker(app, app.client.config):
        waiting = asyncio.create_task(task.result(timeout=10))
        in_a_thread = asyncio.create_task(asyncio.to_thread(task.result_sync, 10))
        await eventually(lambda: _is(task, TaskState.PROCESSING))
        assert not waiting.done()
        finish.set()
        assert await waiting == await in_a_thread == "done"


async def _is(task: Any, state: TaskState) -> bool:
    return await task.state() is state


async def test_waiting_ends_in_time_and_the_task_goes_on(app: Celers) -> None:
    @app.task()
    def work() -> str:
        return "late"

    task = await app.enqueue("work")
    began = time.monotonic()
    with pytest.raises(ResultTimeout, match="still pending after 50ms; it goes on") as late:
        await task.result(timeout="50ms")
    assert isinstance(late.value, TimeoutError)
    with pytest.raises(ResultTimeout):
        task.result_sync(timeout=0)
    assert time.monotonic() - began < 5
    await testing.drain(app)
    assert await task.result() == "late"


async def test_a_task_that_never_was_is_not_waited_for(app: Celers) -> None:
    task = app.task_by_id(uuid4())
    for ask in (task.state, task.result):
        with pytest.raises(TaskNotFound, match=str(task.id)):
            await ask()
    for ask_now in (task.state_sync, task.result_sync):
        with pytest.raises(LookupError):
            ask_now()
    assert not await task.cancel()


async def test_a_task_can_be_found_again_by_its_id(app: Celers) -> None:
    task = await app.enqueue("work")
    assert app.task_by_id(str(task.id)) == task
    assert await app.task_by_id(task.id).state() is TaskState.PENDING
    with pytest.raises(ValueError, match="UUID"):
        app.task_by_id("abc")


# --- cancelling ---


async def test_a_task_that_waits_is_cancelled_at_once_and_never_runs(
    app: Celers, direct: DirectStore
) -> None:
    called = []

    @app.task()
    def work() -> None:
        called.append(1)

    task, other = await app.enqueue("work"), await app.enqueue("work")
    assert await task.cancel()
    assert other.cancel_sync("me too")
    assert await task.state() is TaskState.CANCELLED
    assert not live_rows(direct)
    await testing.drain(app)
    assert not called


async def test_cancelling_twice_or_too_late_is_no_error_and_says_so(app: Celers) -> None:
    # T28
    @app.task()
    def work() -> int:
        return 1

    cancelled = await app.enqueue("work")
    assert await cancelled.cancel()
    assert not await cancelled.cancel()
    completed = await ended(app)
    assert not await completed.cancel()
    assert not completed.cancel_sync()
    assert await completed.result() == 1


async def test_a_task_that_runs_is_told_to_stop(app: Celers) -> None:
    # T28
    stopped = asyncio.Event()

    @app.task()
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    task = await app.enqueue("work")
    async with Worker(app, app.client.config):
        await eventually(lambda: _is(task, TaskState.PROCESSING))
        assert await task.cancel("changed my mind")
        with pytest.raises(TaskFailed, match="cancelled: changed my mind"):
            await task.result(timeout=20)
    assert stopped.is_set()


async def test_a_task_that_was_asked_to_stop_is_not_tried_again_when_it_fails(
    app: Celers, direct: DirectStore
) -> None:
    calls = []

    @app.task(backoff=backoff.immediate())
    def work() -> None:
        calls.append(1)
        assert app.task_by_id(live_rows(direct)[0].id).cancel_sync("changed my mind")
        raise ValueError("no such user")

    task = await ended(app)
    assert await task.state() is TaskState.CANCELLED
    assert len(calls) == 1


# --- draining, as an application's tests do ---


async def test_draining_runs_what_is_due_and_what_that_enqueues(app: Celers) -> None:
    @app.task()
    async def parent(count: int) -> None:
        if count:
            await parent.enqueue(count - 1)
        await child.with_(delay="1h").enqueue()

    @app.task(max_retries=0)
    def child() -> None: ...

    @app.task(max_retries=1, backoff=backoff.fixed("1h"))
    def broken() -> None:
        raise ValueError

    @app.task()
    def snoozes() -> None:
        raise Snooze("1h")

    await parent.enqueue(2)
    await broken.with_(max_retries=0).enqueue()
    await broken.enqueue()
    await snoozes.enqueue()
    run = await testing.drain(app)
    assert run.completed == ["parent"] * 3
    assert run.dead == ["broken"]
    assert run.retried == ["broken"]
    assert not (await testing.drain(app)).settlements


async def test_a_snoozed_task_comes_back_with_all_its_attempts(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(max_retries=0)
    def work(*, context: Context) -> int:
        if context.task.lease == 1:
            raise Snooze(0)
        return context.attempt

    task = await ended(app)
    assert await task.result() == 1


async def test_tasks_run_in_the_order_of_their_priority(app: Celers) -> None:
    order = []

    @app.task()
    async def work(number: int) -> None:
        order.append(number)

    await app.enqueue_many(
        [work.with_(priority=priority).call(priority) for priority in (0, 5, -5, 9)]
    )
    await testing.drain(app)
    assert order == [9, 5, 0, -5]


async def test_an_application_has_a_test_database_of_its_own(tmp_path: Path) -> None:
    app = Celers()
    app.client.config = testing.config(tmp_path)
    app.task(name="work")(lambda: 1)
    task = await ended(app)
    assert await task.result() == 1
    await app.close()


async def test_a_task_in_an_unknown_state_of_a_newer_version_is_no_crash(
    app: Celers, direct: DirectStore
) -> None:
    task = await app.enqueue("work")
    await change_task(await app.client.store(), task.id, state="blocked")
    assert await task.state() is TaskState.BLOCKED


# --- changing it, making it due again ---


async def test_a_waiting_task_is_rescheduled_and_updated_by_its_handle(
    app: Celers, direct: DirectStore
) -> None:
    task = await app.enqueue("work", options=Options(delay="1h"))
    assert await task.reschedule(delay="2h")
    assert await task.update(priority=7, queue="other", max_retries=1, metadata={"who": "ada"})
    [row] = live_rows(direct)
    assert 7_200 <= (row.scheduled_at - row.created_at).total_seconds() < 7_300
    assert (row.priority, row.queue_name, row.max_retries) == (7, "other", 1)
    assert row.metadata == {"who": "ada"}
    assert await asyncio.to_thread(task.reschedule_sync, delay="0s")
    assert await asyncio.to_thread(task.update_sync, priority=8)
    assert live_rows(direct)[0].priority == 8


async def test_a_task_that_has_ended_is_not_changed(app: Celers) -> None:
    @app.task()
    def work() -> None: ...

    task = await ended(app)
    assert not await task.reschedule(delay="1h")
    assert not await task.update(priority=7)
    assert not await task.retry()
    assert await task.state() is TaskState.COMPLETED


async def test_a_dead_task_is_retried_by_its_handle_under_its_id(app: Celers) -> None:
    calls = []

    @app.task(max_retries=0)
    def work() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("not yet")
        return "done"

    task = await ended(app)
    assert await task.state() is TaskState.FAILED
    assert await task.retry()
    assert await task.state() is TaskState.PENDING
    assert await asyncio.to_thread(task.retry_sync)
    await testing.drain(app)
    assert await task.result() == "done"


async def test_a_task_that_never_was_cannot_be_changed(app: Celers) -> None:
    task = app.task_by_id(uuid4())
    for change in (task.retry(), task.update(priority=1), task.reschedule(delay=1)):
        with pytest.raises(TaskNotFound):
            await change


async def test_an_application_looks_at_its_tasks_and_queues(app: Celers) -> None:
    @app.task(queue="mail")
    def work() -> None: ...

    done = await ended(app)
    waiting = await app.enqueue("later", options=Options(delay="1h", metadata={"who": "ada"}))
    look = app.inspect
    assert (await look.task(done.id)).state is TaskState.COMPLETED
    assert [view.id for view in await look.tasks()] == [waiting.id, done.id]
    assert [view.id for view in await look.tasks(limit=1, after=waiting.id)] == [done.id]
    assert [view.id for view in await look.tasks(state="completed", newer_than="1h")] == [done.id]
    assert await look.count(metadata={"who": "ada"}, scheduled=True) == 1
    assert [queue.name for queue in await look.queues()] == ["default"]
    assert await look.history(done.id) == []
    assert await look.workers() == []
    [group] = (await look.figures(by="name")).groups
    assert (group.key, group.completed) == ("work", 1)
    with pytest.raises(TaskNotFound):
        await look.task(uuid4())
