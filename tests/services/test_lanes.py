"""Handlers share the asyncio tasks in which they run, and nothing of one reaches the next."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

from celers_worker import Celers
from celers_worker.core.outcome import Cancelled, Completed, Retry
from tests.services.desk import Desk, a_task
from tests.waiting import eventually

PERMITS = 10
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk(Celers(), prefetch=1_000)
    yield desk
    await desk.close()


def start(desk: Desk, count: int) -> None:
    """Start so many at once, as the poller does."""
    tasks = [a_task() for _ in range(count)]
    for task in tasks:
        desk.permits.take(task)
    desk.runner.start_all(tasks)


async def test_handlers_that_never_suspend_share_a_task(desk: Desk) -> None:
    seen: list[asyncio.Task[Any] | None] = []

    @desk.app.task(name="work")
    async def work() -> None:
        seen.append(asyncio.current_task())

    start(desk, 100)
    await eventually(desk.is_idle)
    assert len(seen) == 100
    assert None not in seen
    assert len(set(seen)) < 100


async def test_handlers_that_suspend_each_have_a_task_and_all_run_at_once(desk: Desk) -> None:
    gate = asyncio.Event()
    seen: set[asyncio.Task[Any] | None] = set()

    @desk.app.task(name="work")
    async def work() -> None:
        seen.add(asyncio.current_task())
        await gate.wait()

    start(desk, PERMITS)
    await eventually(lambda: desk.runner.running == PERMITS)
    assert len(seen) == PERMITS
    gate.set()
    await eventually(desk.is_idle)


async def test_one_that_suspends_holds_up_nobody(desk: Desk) -> None:
    gate = asyncio.Event()

    @desk.app.task(name="work")
    async def work() -> None:
        if desk.runner.running == 1 and not desk.outcomes:
            await gate.wait()

    start(desk, 100)
    await eventually(lambda: len(desk.outcomes) == 99)
    gate.set()
    await eventually(desk.is_idle)


async def test_a_context_variable_that_a_handler_sets_is_not_seen_by_the_next(desk: Desk) -> None:
    seen: list[str] = []

    @desk.app.task(name="work")
    async def work() -> None:
        seen.append(tenant.get())
        tenant.set("ada")

    start(desk, 20)
    await eventually(desk.is_idle)
    assert seen == ["nobody"] * 20


async def test_a_cancellation_does_not_reach_the_handlers_behind_it(desk: Desk) -> None:
    @desk.app.task(name="work", retry_on=(asyncio.CancelledError,))
    async def work() -> None:
        if not desk.outcomes:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # and it ends before that reaches it
            return
        await asyncio.sleep(0)

    start(desk, 20)
    await eventually(desk.is_idle)
    assert {type(one.outcome) for one in desk.outcomes} == {Completed}


async def test_a_run_that_is_stopped_takes_no_other_along(desk: Desk) -> None:
    gate = asyncio.Event()

    @desk.app.task(name="work")
    async def work() -> None:
        await gate.wait()

    start(desk, 20)
    await eventually(lambda: desk.runner.running == PERMITS)
    first, *_ = desk.runner.runs
    desk.runner.cancel(first, "not wanted")
    gate.set()
    await eventually(desk.is_idle)
    kinds = [type(one.outcome) for one in desk.outcomes]
    assert kinds.count(Cancelled) == 1
    assert kinds.count(Completed) == 19


async def test_a_time_limit_inside_a_handler_is_its_own(desk: Desk) -> None:
    @desk.app.task(name="work")
    async def work() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    start(desk, 30)
    await eventually(desk.is_idle)
    assert {type(one.outcome) for one in desk.outcomes} == {Retry}


async def test_the_loop_has_its_turn_between_handlers_that_never_suspend(desk: Desk) -> None:
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(count)

    @desk.app.task(name="work")
    async def work() -> None:
        end = asyncio.get_running_loop().time() + 0.001
        while asyncio.get_running_loop().time() < end:
            pass

    count()
    start(desk, 50)
    await eventually(desk.is_idle)
    assert turns > 5
