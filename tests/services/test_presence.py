"""A worker as systemd and its operator see it: whole, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from celers_worker import Celers, Worker
from celers_worker.config import Config
from celers_worker.core.errors import ConfigurationError, Unavailable
from celers_worker.core.process_events import (
    ClaimingResumed,
    ClaimingStopped,
    ConfigurationReloaded,
    ReloadRefused,
    StacksTaken,
)
from celers_worker.observe.notify import Notifier
from celers_worker.services.crew import Crew
from celers_worker.services.poller import Poller
from celers_worker.services.service import Service
from celers_worker.store import make_direct_store, schedules, survey
from tests.observe.listening import Systemd, systemd
from tests.services.crews import configured
from tests.waiting import eventually

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
LOOPS = {
    *("heartbeat", "settler", "reaper", "janitor", "conductor", "surveyor", "scheduler"),
    *("poller", "listener"),
}


class Watched:
    """A worker, and what it tells systemd."""

    def __init__(self, worker: Worker, told: Systemd) -> None:
        self.worker = worker
        self.told = told
        self.seen: list[object] = []
        for kind in (
            *(ClaimingStopped, ClaimingResumed, ConfigurationReloaded, ReloadRefused),
            StacksTaken,
        ):
            worker.events.listen(kind, self.seen.append)

    @property
    def crew(self) -> Crew:
        assert self.worker._crew is not None
        return self.worker._crew

    async def pings(self) -> None:
        """Wait for a ping that comes from now on."""
        self.told.forget()
        await eventually(lambda: self.told.of("WATCHDOG"))

    async def is_stuck(self, loop: str) -> None:
        """Wait until it says so, and see that no ping comes while it does."""
        await eventually(lambda: f"{loop} is stuck" in self.told.of("STATUS")[-1])
        self.told.forget()
        await eventually(lambda: len(self.told.of("STATUS")) >= 3)
        stuck = [one for one in self.told.heard if "is stuck" in one.get("STATUS", "")]
        assert len(stuck) >= 3
        assert not any("WATCHDOG" in one for one in stuck), loop


@contextlib.contextmanager
def watched(
    app: Celers, config: Config, reread: Callable[[], Config] | None = None
) -> Iterator[Watched]:
    with systemd() as told:
        notifier = Notifier(told.address, watchdog=0.15)
        try:
            yield Watched(Worker(app, config, notifier=notifier, reread=reread), told)
        finally:
            notifier.close()


@asynccontextmanager
async def frozen(service: Service) -> AsyncIterator[None]:
    """A block in which *service* never ends a tick."""
    tick, patience, silence = service.tick, service.patience, service.silence
    thaw = asyncio.Event()

    async def stand_still() -> bool:
        await thaw.wait()
        return False

    await service.stop()
    service.patience, service.silence = 0.3, 0.0
    service.tick = stand_still  # type: ignore[method-assign]
    await Service.start(service)
    yield
    service.patience, service.silence = patience, silence
    service.tick = tick  # type: ignore[method-assign]
    thaw.set()
    service.wake()


@on_sqlite
async def test_no_loop_stands_still_without_the_pings_ending(migrated_url: str) -> None:
    app = Celers()

    @app.task()
    async def work() -> None: ...

    app.schedule("yearly", work, cron="0 0 1 1 *")
    config = configured(migrated_url, metrics__port=0)
    with watched(app, config) as seen:
        async with seen.worker:
            await seen.pings()
            services = {service.name: service for service in seen.crew.in_order}
            assert services.keys() == LOOPS
            for name, service in services.items():
                async with frozen(service):
                    await seen.is_stuck(name)
                    assert not seen.worker.presence.pulse().alive
                await seen.pings()
        assert seen.told.of("STOPPING") == ["1"]


@on_sqlite
async def test_a_loop_that_has_ended_is_stuck(migrated_url: str) -> None:
    with watched(Celers(), configured(migrated_url)) as seen:
        async with seen.worker:
            reaper = seen.crew.upkeep[0]
            assert reaper._task is not None
            reaper._task.cancel()
            await seen.is_stuck("reaper")


@on_sqlite
async def test_runs_that_do_not_begin_end_the_pings(migrated_url: str) -> None:
    app = Celers()
    ran = asyncio.Event()

    @app.task()
    async def work() -> None:
        ran.set()

    with watched(app, configured(migrated_url)) as seen:
        async with seen.worker:
            await seen.pings()
            lanes, thaw = seen.crew.runner._lanes, asyncio.Event()
            lane = lanes._lane

            async def stand_still() -> None:
                await thaw.wait()
                await lane()

            lanes._lane = stand_still  # type: ignore[method-assign]
            seen.crew.poller.patience = 0.3
            await work.enqueue()
            await seen.is_stuck("runner")
            thaw.set()
            await seen.pings()
            assert ran.is_set()
    await app.close()


@on_sqlite
async def test_a_watchdog_that_does_not_look_ends_the_pings(migrated_url: str) -> None:
    with watched(Celers(), configured(migrated_url)) as seen:
        async with seen.worker:
            await seen.pings()
            watchdog, thaw = seen.crew.watchdog, threading.Event()
            rest = watchdog._rest

            def stand_still() -> bool:
                thaw.wait()
                return rest()

            watchdog.patience = 0.3
            watchdog._rest = stand_still  # type: ignore[method-assign]
            await seen.is_stuck("watchdog")
            watchdog.patience = 45
            thaw.set()
            await seen.pings()


@on_sqlite
async def test_a_database_that_is_away_makes_it_unready_but_the_pings_go_on(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(Celers(), configured(migrated_url)) as seen:
        async with seen.worker:
            await eventually(lambda: seen.told.of("READY"))

            async def away(*_: Any, **__: Any) -> Any:
                raise Unavailable("the database is away")

            with monkeypatch.context() as patch:
                patch.setattr(seen.crew.poller, "_claim", away)
                await eventually(lambda: seen.crew.poller.failing)
                await seen.pings()
                assert "the database does not answer" in seen.told.of("STATUS")[-1]
                pulse = seen.worker.presence.pulse()
                assert pulse.alive
                assert pulse.problems == ["the database does not answer"]
            await eventually(lambda: seen.worker.presence.pulse().ready)


async def test_it_is_ready_when_its_first_claim_was_answered(migrated_url: str) -> None:
    with watched(Celers(), configured(migrated_url)) as seen:
        seen.worker.quiet()
        async with seen.worker:
            await seen.pings()
            assert "it has not claimed yet" in seen.told.of("STATUS")[-1]
            assert seen.told.of("READY") == []
            seen.worker.resume()
            await eventually(lambda: seen.told.of("READY") == ["1"])
            pulse = seen.worker.presence.pulse()
            assert pulse.ready
            assert 0 < (pulse.lease_left or 0) <= 30
            assert pulse.memory > 10_000_000
            if not migrated_url.startswith("sqlite"):
                assert pulse.pool is not None
                assert 0 < pulse.pool.open <= pulse.pool.limit
        assert seen.told.of("STOPPING") == ["1"]


def limits_in_the_row(url: str) -> tuple[int, Mapping[str, int]]:
    """What others see of the only worker: its concurrency, and the limits of its handlers."""
    with make_direct_store(url) as direct:
        [worker] = direct.run(survey.list_workers)
    return worker.concurrency, (worker.limits or {})["handlers"]


async def no_claim_is_under_way(poller: Poller) -> None:
    began = time.monotonic()
    poller.wake()
    await eventually(lambda: poller.ticked_at > began)


@on_sqlite
async def test_a_quiet_worker_claims_nothing_and_goes_on_with_what_runs(migrated_url: str) -> None:
    app = Celers()
    ran, go = [], asyncio.Event()

    @app.task()
    async def work(number: int) -> None:
        await go.wait()
        ran.append(number)

    with watched(app, configured(migrated_url)) as seen:
        async with seen.worker:
            await work.enqueue(number=1)
            await eventually(lambda: seen.crew.runner.running == 1)
            seen.worker.quiet()
            seen.worker.quiet()
            await no_claim_is_under_way(seen.crew.poller)
            await work.enqueue(number=2)
            go.set()
            await eventually(lambda: ran == [1])
            await eventually(lambda: seen.crew.settler.written == 1)
            assert seen.worker.presence.pulse().problems == ["it claims no tasks: it is quiet"]
            seen.worker.resume()
            await eventually(lambda: ran == [1, 2])
            assert [type(event) for event in seen.seen] == [ClaimingStopped, ClaimingResumed]
    await app.close()


@on_sqlite
async def test_a_reload_changes_limits_and_schedules_and_drops_no_task(migrated_url: str) -> None:
    app = Celers()
    began: list[int] = []
    go = asyncio.Event()

    @app.task()
    async def work(number: int) -> None:
        began.append(number)
        await go.wait()

    config = configured(migrated_url, concurrency=2)
    files = {
        "wider": configured(migrated_url, concurrency=4, threads=7, log__level="debug"),
        "limited": configured(migrated_url, concurrency=4, handlers__work__concurrency=1),
    }
    chosen = "wider"

    with watched(app, config, reread=lambda: files[chosen]) as seen:
        async with seen.worker:
            await app.enqueue_many(work.call(number=number) for number in range(7))
            await eventually(lambda: len(began) == 2)
            await eventually(lambda: seen.told.of("READY"))
            seen.told.forget()

            seen.worker.reload()

            await eventually(lambda: len(began) == 4)
            [reloaded] = seen.seen
            assert reloaded == ConfigurationReloaded(
                ("log.level", "worker.concurrency"), ("worker.threads",), "debug"
            )
            assert [*seen.told.of("RELOADING"), *seen.told.of("READY")] == ["1", "1"]
            assert seen.worker.presence.pulse().reloads == 1
            chosen = "limited"
            seen.worker.reload()
            assert seen.crew.permits.demand().handlers == {"work": 0}
            seen.crew.heartbeat.wake()
            await eventually(lambda: limits_in_the_row(migrated_url) == (4, {"work": 1}))
            go.set()
            await eventually(lambda: len(began) == 7)
            await eventually(lambda: seen.crew.settler.written == 7)
    await app.close()


@on_sqlite
async def test_a_reload_declares_the_schedules_that_are_configured_by_then(
    migrated_url: str,
) -> None:
    app = Celers()

    @app.task()
    async def work() -> None: ...

    new = configured(migrated_url, schedules__hourly__task="work", schedules__hourly__every="1h")
    with watched(app, configured(migrated_url), reread=lambda: new) as seen:
        async with seen.worker:
            seen.worker.reload()
            [reloaded] = seen.seen
            assert isinstance(reloaded, ConfigurationReloaded)
            assert {"schedules.hourly.task", "schedules.hourly.every"} <= {*reloaded.changed}
            store = seen.crew.poller._store

            async def is_declared() -> bool:
                found = await store.run(schedules.look, ["hourly"], {})
                return found.present == 1

            await eventually(is_declared)


@on_sqlite
@pytest.mark.parametrize("wrong", ["file", "schedule"])
async def test_a_configuration_that_is_wrong_by_then_changes_nothing_and_says_so(
    migrated_url: str, wrong: str
) -> None:
    def reread() -> Config:
        if wrong == "file":
            raise ConfigurationError("worker.concurrency is 0: it must be 1 or more.")
        return configured(migrated_url, concurrency=9, schedules__hourly__queue="mail")

    config = configured(migrated_url)
    with watched(Celers(), config, reread=reread) as seen:
        async with seen.worker:
            await eventually(lambda: seen.told.of("READY"))
            seen.worker.reload()
            [refused] = seen.seen
            assert isinstance(refused, ReloadRefused)
            [problem] = refused.problems
            assert ("concurrency" if wrong == "file" else "hourly") in problem
            assert seen.worker.config is config
            assert seen.crew.permits.total == 100
            await eventually(lambda: seen.told.of("READY") == ["1", "1"])


@on_sqlite
async def test_stacks_name_the_line_of_every_running_task(migrated_url: str) -> None:
    app = Celers()
    release, asleep = threading.Event(), asyncio.Event()

    async def inner() -> None:
        await asleep.wait()

    @app.task()
    async def sleeps() -> None:
        await inner()

    @app.task()
    def in_thread() -> None:
        release.wait()

    @app.task()
    async def holds_the_loop() -> None:
        release.wait()

    with watched(app, configured(migrated_url)) as seen:
        async with seen.worker:
            await sleeps.enqueue()
            await in_thread.enqueue()
            await eventually(lambda: seen.crew.runner.running == 2)
            # From another thread: the loop will be blocked.
            asking = threading.Thread(target=_ask_for_stacks, args=(seen, release))
            asking.start()
            await holds_the_loop.enqueue()
            await eventually(lambda: not asking.is_alive())
            asleep.set()
            [taken] = [event for event in seen.seen if isinstance(event, StacksTaken)]
    await app.close()
    stacks = {stack.name: stack for stack in taken.stacks}
    assert stacks.keys() == {"sleeps", "in_thread", "holds_the_loop"}
    here = __file__
    assert [frame.partition(":")[0] for frame in stacks["sleeps"].frames[:2]] == [here, here]
    assert "inner" in stacks["sleeps"].frames[1]
    assert stacks["in_thread"].frames[0].startswith(here)
    assert stacks["holds_the_loop"].frames[0].startswith(here)
    assert stacks["in_thread"].runs == "thread"
    assert all(stack.seconds >= 0 for stack in taken.stacks)


def _ask_for_stacks(seen: Watched, release: threading.Event) -> None:
    from tests.waiting import eventually_sync

    try:
        eventually_sync(lambda: seen.crew.runner.running == 3)
        seen.worker.print_stacks()
        eventually_sync(lambda: seen.seen)
    finally:
        release.set()
