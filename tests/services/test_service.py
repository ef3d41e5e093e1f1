from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import ClassVar

import pytest

from celers_worker.core.events import Events, ServiceFailed, ServiceRecovered
from celers_worker.services.service import Service
from tests.services.crews import Seen
from tests.waiting import eventually

Tick = Callable[[], Awaitable[bool]]


class Ticker(Service):
    """Counts its ticks, each of which is what the test says."""

    name: ClassVar[str] = "ticker"

    def __init__(self, work: Tick, *, interval: float = 60.0) -> None:
        events = Events()
        super().__init__(events, interval=interval)
        self.seen = Seen(events)
        self.ticks = 0
        self._work = work

    async def tick(self) -> bool:
        self.ticks += 1
        return await self._work()


class Interruptible(Ticker):
    interruptible: ClassVar[bool] = True


class Restless(Ticker):
    """Does not rest, because 20,000 rests of four seconds take a day."""

    async def _rest(self, seconds: float, *, wakeable: bool = True) -> None:
        await asyncio.sleep(0)


Start = Callable[..., Awaitable[Ticker]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    started: list[Ticker] = []

    async def start(work: Tick, kind: type[Ticker] = Ticker, *, interval: float = 60.0) -> Ticker:
        service = kind(work, interval=interval)
        started.append(service)
        await service.start()
        await eventually(lambda: service.ticks)
        return service

    yield start
    for service in started:
        await service.stop()


async def nothing_to_do() -> bool:
    return False


async def test_a_service_ticks_again_after_its_interval(start: Start) -> None:
    service = await start(nothing_to_do, interval=0.01)
    await eventually(lambda: service.ticks >= 3)


async def test_a_service_that_is_woken_ticks_at_once(start: Start) -> None:
    service = await start(nothing_to_do)
    service.wake()
    await eventually(lambda: service.ticks == 2, within=1)


async def test_a_service_woken_during_a_tick_ticks_once_more(start: Start) -> None:
    async def work() -> bool:
        if service.ticks == 1:
            service.wake()
        return False

    service = Ticker(work)
    await service.start()
    await eventually(lambda: service.ticks == 2, within=1)
    await service.stop()


async def test_a_tick_that_leaves_work_is_followed_at_once(start: Start) -> None:
    async def work() -> bool:
        return service.ticks < 100

    service = Ticker(work)
    await service.start()
    await eventually(lambda: service.ticks == 100, within=1)
    await service.stop()


async def test_a_service_with_endless_work_leaves_the_loop_to_others(start: Start) -> None:
    async def work() -> bool:
        return True

    service = await start(work)
    before = service.ticks
    await eventually(lambda: service.ticks > before)  # which it could not see otherwise


async def test_a_tick_that_fails_is_reported_and_tried_again_ever_later(start: Start) -> None:
    async def work() -> bool:
        raise ValueError("the database is away")

    service = await start(work)
    failed = await eventually(lambda: len(service.seen.of(ServiceFailed)) == 4, within=8)
    assert failed
    failures = service.seen.of(ServiceFailed)
    assert [failure.failures for failure in failures] == [1, 2, 3, 4]
    assert {str(failure.error) for failure in failures} == {"the database is away"}
    assert {failure.service for failure in failures} == {"ticker"}
    pauses = [failure.retry_in for failure in failures]
    for number, pause in enumerate(pauses, start=1):
        longest = 0.1 * 2**number
        assert longest / 2 <= pause <= longest


async def test_a_service_that_failed_for_a_day_still_tries_every_few_seconds() -> None:
    async def work() -> bool:
        raise ValueError("still away")

    service = Restless(work)
    await service.start()
    await eventually(lambda: service.ticks > 20_000)
    await service.stop()
    pauses = [failure.retry_in for failure in service.seen.of(ServiceFailed)]
    assert max(pauses) <= 4.0
    assert min(pauses[10:]) == 4.0


async def test_a_service_that_works_again_says_so_once_and_forgets_its_failures(
    start: Start,
) -> None:
    async def work() -> bool:
        if service.ticks in (1, 2, 4):
            raise ValueError("a hiccup")
        return False

    service = Ticker(work, interval=0.01)
    await service.start()
    await eventually(lambda: service.ticks >= 6)
    await service.stop()
    assert [event.failures for event in service.seen.of(ServiceFailed)] == [1, 2, 1]
    assert [event.failures for event in service.seen.of(ServiceRecovered)] == [2, 1]


async def test_waking_does_not_shorten_the_rest_after_a_failure(start: Start) -> None:
    began = time.monotonic()

    async def work() -> bool:
        if service.ticks == 1:
            raise ValueError("the database is away")
        return False

    service = Ticker(work)
    await service.start()
    await eventually(lambda: service.seen.of(ServiceFailed))
    [failure] = service.seen.of(ServiceFailed)

    async def woken_until_it_ticks() -> bool:
        service.wake()
        return service.ticks == 2

    await eventually(woken_until_it_ticks)
    await service.stop()
    assert time.monotonic() - began >= failure.retry_in


async def test_stopping_lets_a_tick_finish(start: Start) -> None:
    finish = asyncio.Event()
    finished = []

    async def work() -> bool:
        await finish.wait()
        finished.append(True)
        return False

    service = await start(work)
    stopping = asyncio.create_task(service.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    finish.set()
    await stopping
    assert finished
    assert service.ticks == 1


async def test_stopping_cancels_the_tick_of_a_service_that_waits_for_others(start: Start) -> None:
    async def work() -> bool:
        await asyncio.Event().wait()
        return False

    service = await start(work, Interruptible)
    async with asyncio.timeout(1):
        await service.stop()


async def test_stopping_does_not_wait_for_a_rest_to_end(start: Start) -> None:
    async def work() -> bool:
        raise ValueError("the database is away")

    rests = await start(nothing_to_do)
    async with asyncio.timeout(1):
        await rests.stop()

    fails = await start(work)
    await eventually(lambda: len(fails.seen.of(ServiceFailed)) == 3)
    async with asyncio.timeout(0.3):  # its third rest takes 400 ms at least
        await fails.stop()


async def test_a_service_knows_when_it_last_did_well(start: Start) -> None:
    async def work() -> bool:
        raise ValueError("the database is away")

    healthy = await start(nothing_to_do, interval=0.001)
    ill = await start(work)
    began = time.monotonic()
    await eventually(lambda: healthy.ticked_at > began)
    assert ill.ticked_at <= began


async def test_a_tick_that_takes_too_long_is_stuck_until_it_ends() -> None:
    go = asyncio.Event()

    async def waits() -> bool:
        await go.wait()
        return False

    service = Ticker(waits)
    service.patience = 0.05
    assert not service.stuck, "it has not started"
    await service.start()
    await eventually(lambda: service.stuck)
    service.progress()
    assert not service.stuck, "it says that it moves"
    await eventually(lambda: service.stuck)
    go.set()
    await eventually(lambda: not service.stuck)
    await service.stop()
    assert not service.stuck


async def test_to_rest_or_to_fail_is_not_to_be_stuck() -> None:
    async def fails() -> bool:
        if service.ticks < 3:
            raise OSError("away")
        return False

    service = Ticker(fails, interval=60)
    service.patience = 5.0
    await service.start()
    await eventually(lambda: service.ticks == 1)
    assert service.failing
    assert not service.stuck
    await eventually(lambda: service.ticks == 3)
    await eventually(lambda: not service.failing)
    assert not service.stuck, "it rests for a minute"
    await service.stop()


async def test_a_service_whose_task_has_died_is_stuck() -> None:
    async def dies() -> bool:
        raise asyncio.CancelledError

    service = Ticker(dies)
    await service.start()
    await eventually(lambda: service.stuck)
    await service.stop()
