"""Waiting for many tasks, from any process; and looking at them without waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from celers_worker import Celers, Context, ResultTimeout, TaskFailed, Worker, backoff, testing
from celers_worker.app import waiting
from celers_worker.app.ended import TaskStatus
from celers_worker.core.errors import CelersError, TaskNotFound, Unavailable
from celers_worker.core.task import TaskState
from celers_worker.store import results
from celers_worker.store.direct import DirectStore
from tests.store.steps import execute
from tests.waiting import eventually

POSTGRES = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
LISTENERS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE query LIKE '%pg_advisory_lock(16%' AND pid <> pg_backend_pid()"
)


def declare(app: Celers) -> None:
    @app.task(max_retries=0)
    async def work(number: int) -> int:
        if number < 0:
            raise ValueError("negative")
        return number


async def take(statuses: AsyncIterator[TaskStatus], came: list[int]) -> None:
    """Take results as they come."""
    async for ended in statuses:
        came.append(ended.result())  # noqa: PERF401 - one by one


async def test_tasks_come_as_they_end(app: Celers) -> None:
    gates = [threading.Event() for _ in range(3)]

    @app.task()
    def work(number: int) -> int:
        gates[number].wait(20)
        return number

    tasks = [await work.enqueue(number) for number in range(3)]
    came: list[int] = []

    async def wait() -> None:
        await take(app.wait_for(tasks, timeout=30), came)

    async with Worker(app, app.client.config):
        waiter = asyncio.create_task(wait())
        for number in (2, 0, 1):
            gates[number].set()
            await eventually(lambda number=number: number in came)  # type: ignore[misc]  # bound
        await waiter
    assert came == [2, 0, 1]


async def test_of_each_task_it_is_told_how_it_ended(app: Celers) -> None:
    declare(app)
    good, bad = await app.enqueue("work", number=7), await app.enqueue("work", number=-1)
    gone = uuid4()
    await testing.drain(app)
    asked = [good.id, str(bad.id), gone, good]
    found = {ended.id: ended async for ended in app.wait_for(asked, timeout=10)}
    assert {ended.id: ended for ended in app.wait_for_sync(asked, timeout=10)} == found
    assert set(found) == {good.id, bad.id, gone}
    assert all(ended.ended for ended in found.values())
    assert (found[good.id].state, found[good.id].result()) == (TaskState.COMPLETED, 7)
    assert found[good.id].runtime is not None
    assert (found[bad.id].name, found[bad.id].error) == ("work", "ValueError: negative")
    with pytest.raises(TaskFailed, match="negative"):
        found[bad.id].result()
    assert found[gone].state is None
    with pytest.raises(TaskNotFound, match=str(gone)):
        found[gone].result()


async def test_what_has_not_ended_in_time_is_named(app: Celers) -> None:
    declare(app)
    ended = await app.enqueue("work", number=7)
    await testing.drain(app)
    late = [await app.enqueue("work", number=number) for number in range(2)]
    came: list[int] = []
    with pytest.raises(ResultTimeout, match="2 tasks have not ended after 100ms") as told:
        await take(app.wait_for([ended, *late], timeout="100ms"), came)
    assert came == [7]
    assert set(told.value.ids) == {task.id for task in late}
    with pytest.raises(ResultTimeout, match=f"task {late[0].id} is still pending after 0s"):
        came += [one.result() for one in app.wait_for_sync(late[:1], timeout=0)]
    assert [one.result() for one in app.wait_for_sync([ended], timeout=0)] == [7]


async def test_nothing_to_wait_for_ends_at_once(app: Celers) -> None:
    assert [one async for one in app.wait_for([])] == []
    assert list(app.wait_for_sync([])) == []
    assert await app.check_status([]) == {}


async def test_status_is_known_without_waiting(app: Celers) -> None:
    declare(app)
    ended = await app.enqueue("work", number=7)
    await testing.drain(app)
    waits, gone = await app.enqueue("work", number=8), uuid4()
    asked = [waits, ended.id, gone]
    found = await app.check_status(asked)
    assert app.check_status_sync(asked) == found
    assert list(found) == [waits.id, ended.id, gone]
    states = [(one.state, one.ended) for one in found.values()]
    assert states == [(TaskState.PENDING, False), (TaskState.COMPLETED, True), (None, True)]
    with pytest.raises(ResultTimeout, match="is still pending"):
        found[waits.id].result()
    with pytest.raises(ValueError, match="UUID"):
        await app.check_status(["abc"])


async def test_a_task_that_fails_first_and_then_succeeds_has_ended_once(app: Celers) -> None:
    # T26
    @app.task(backoff=backoff.fixed("50ms"))
    async def work(*, context: Context) -> int:
        if context.attempt < 3:
            raise ValueError("not yet")
        return context.attempt

    task = await work.enqueue()
    waiting_ = asyncio.create_task(task.result(timeout=30))
    in_a_thread = asyncio.create_task(asyncio.to_thread(app.result_sync, task.id, 30))
    async with Worker(app, app.client.config):
        assert await waiting_ == await in_a_thread == 3


async def test_many_who_wait_share_one_look(app: Celers, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(app)
    looks: list[int] = []

    def counted(transaction: Any, ids: list[UUID]) -> Any:
        looks.append(len(ids))
        return results.endings_of(transaction, ids)

    monkeypatch.setattr(waiting, "endings_of", counted)
    tasks = [await app.enqueue("work", number=number) for number in range(100)]
    async with Worker(app, app.client.config):
        found = await asyncio.gather(*(task.result(timeout=30) for task in tasks))
    assert found == list(range(100))
    assert len(looks) < 60  # each of a hundred would have looked several times
    assert max(looks) == 100


async def test_who_is_cancelled_waits_no_longer_and_the_others_do(app: Celers) -> None:
    declare(app)
    tasks = [await app.enqueue("work", number=number) for number in range(2)]
    first, second = (asyncio.create_task(task.result(timeout=30)) for task in tasks)
    watch = await app.client.waiting()
    await eventually(lambda: len(watch._waiters) == 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert len(watch._waiters) == 1
    await testing.drain(app)
    assert await second == 1
    assert not watch._waiters


async def test_who_breaks_off_leaves_nothing_behind(app: Celers) -> None:
    declare(app)
    tasks = [await app.enqueue("work", number=number) for number in range(3)]
    await testing.drain(app)
    statuses = app.wait_for(tasks, timeout=30)
    async for _ in statuses:
        break
    await statuses.aclose()
    assert not (await app.client.waiting())._waiters


async def test_who_waits_while_the_application_is_closed_is_told(app: Celers) -> None:
    declare(app)
    task = await app.enqueue("work", number=1)
    waits = asyncio.create_task(task.result(timeout=30))
    watch = await app.client.waiting()
    await eventually(lambda: watch._waiters)
    await app.close()
    with pytest.raises(CelersError, match="the application was closed"):
        await waits


async def test_a_failure_of_the_database_is_told_to_all_who_wait(
    app: Celers, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(app)
    tasks = [await app.enqueue("work", number=number) for number in range(2)]

    def fail(transaction: Any, ids: list[UUID]) -> Any:
        raise Unavailable("it is away.")

    with monkeypatch.context() as patched:
        patched.setattr(waiting, "endings_of", fail)
        told = await asyncio.gather(
            *(task.result(timeout=30) for task in tasks), return_exceptions=True
        )
    assert [str(error) for error in told] == ["it is away."] * 2
    assert told[0] is not told[1]
    assert Unavailable.transient
    await testing.drain(app)
    assert await tasks[0].result() == 0


@POSTGRES
async def test_a_result_comes_at_once_where_the_database_tells(app: Celers) -> None:
    finish = asyncio.Event()

    @app.task()
    async def work() -> float:
        await finish.wait()
        return time.monotonic()

    task = await work.enqueue()
    watch = await app.client.waiting()
    async with Worker(app, app.client.config):
        waits = asyncio.create_task(task.result(timeout=30))
        await eventually(lambda: watch._hints._holds_lock)  # type: ignore[attr-defined]  # of PG
        finish.set()
        ended = await waits
    assert time.monotonic() - ended < 5


@POSTGRES
async def test_one_connection_listens_for_all_and_is_closed_when_nobody_waits(
    app: Celers, direct: DirectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LINGER", 0.05)
    declare(app)
    tasks = [await app.enqueue("work", number=number) for number in range(20)]
    waits = [asyncio.create_task(task.result(timeout=30)) for task in tasks]

    def listeners() -> int:
        return int(execute(direct, LISTENERS)[0][0])

    await eventually(lambda: listeners() == 1)
    await testing.drain(app)
    assert sorted(await asyncio.gather(*waits)) == list(range(20))
    await eventually(lambda: listeners() == 0)
