"""A handler that holds the event loop: these tests block it, so they must sleep."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from celers_worker import Celers
from celers_worker.core.events import Events, LeasesLost, LoopBlocked, LoopGivenUp
from celers_worker.services.identity import Identity
from celers_worker.services.watchdog import Watchdog
from celers_worker.store import inspect, maintenance, make_direct_store
from tests.services.conftest import MakeStaff
from tests.services.crews import Seen, new_task
from tests.waiting import eventually


def compute(seconds: float) -> None:
    time.sleep(seconds)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_a_loop_that_is_blocked_keeps_its_lease_and_the_handler_is_named(
    make_staff: MakeStaff,
) -> None:
    app = Celers()
    blocked = asyncio.Event()

    @app.task(name="work")
    async def work() -> None:
        compute(3.5)
        blocked.set()
        await asyncio.Event().wait()

    staff = await make_staff(app, lease="3s", heartbeat_interval="500ms", reap_interval="1s")
    await staff.crew.heartbeat.start()
    staff.crew.watchdog.start()
    await staff.store.enqueue([new_task()])
    await staff.claim()
    await eventually(blocked.is_set)
    staff.crew.watchdog.stop()

    assert await staff.crew.heartbeat.tick() is False
    assert len(staff.crew.runner.runs) == 1
    assert not staff.seen.of(LeasesLost)
    told = staff.seen.of(LoopBlocked)
    assert [round(event.seconds) for event in told] in ([1, 2], [1, 3], [2], [1])
    *_, handler, innermost = told[0].suspects
    assert handler.startswith(__file__)
    assert handler.endswith(" work")
    assert innermost.endswith(" compute")


async def test_a_loop_that_never_comes_back_ends_the_process(tmp_path: Path) -> None:
    ended: list[float] = []
    watchdog = Watchdog(
        events := Events(),
        lambda: make_direct_store(f"sqlite:///{tmp_path}/celers.db"),
        Identity("test"),
        lease=timedelta(seconds=30),
        interval=60,
        deadline=timedelta(seconds=1.5),
        on_renewed=lambda sent: None,
        give_up=lambda: ended.append(time.monotonic()),
    )
    seen = Seen(events)
    began = time.monotonic()
    watchdog.start()
    compute(2.2)
    watchdog.stop()
    assert seen.of(LoopBlocked)
    assert ended[0] - began >= 1.5
    given_up = seen.of(LoopGivenUp)[0]
    assert given_up.seconds >= 1.5
    assert given_up.task is None


async def test_only_the_task_that_holds_the_loop_is_left_to_the_reaper(
    make_staff: MakeStaff,
) -> None:
    app = Celers()
    waiting = asyncio.Event()
    ended = asyncio.Event()

    @app.task(name="work")
    async def work() -> None:
        waiting.set()
        await asyncio.Event().wait()

    @app.task(name="culprit")
    async def culprit() -> None:
        compute(3.5)
        ended.set()
        await asyncio.Event().wait()

    staff = await make_staff(app, loop_deadline="1s")
    watchdog = staff.crew.watchdog
    watchdog._give_up = watchdog._stopped.set
    await staff.crew.heartbeat.start()
    [innocent] = await staff.store.enqueue([new_task()])
    await staff.claim()
    await eventually(waiting.is_set)
    [guilty] = await staff.store.enqueue([new_task("culprit")])
    watchdog.start()
    await staff.claim()
    await eventually(ended.is_set)

    told = staff.seen.one(LoopGivenUp)
    assert told.task is not None
    assert told.task.id == guilty.id
    reaped = await staff.store.run(maintenance.reap, max_crashes=3)
    assert reaped.released == [guilty.id]
    view = await staff.store.run(inspect.task, guilty.id)
    assert view is not None
    assert "ended: its event loop was blocked for" in (view.error or "")
    view = await staff.store.run(inspect.task, innocent.id)
    assert view is not None
    assert (view.state, view.crash_count) == ("pending", 0)


async def test_a_busy_loop_that_takes_turns_is_no_blocked_one(tmp_path: Path) -> None:
    watchdog = Watchdog(
        events := Events(),
        lambda: make_direct_store(f"sqlite:///{tmp_path}/celers.db"),
        Identity("test"),
        lease=timedelta(seconds=30),
        interval=5,
        deadline=timedelta(minutes=5),
        on_renewed=lambda sent: None,
    )
    seen = Seen(events)
    watchdog.start()
    began = time.monotonic()

    def busy() -> bool:
        compute(0.05)
        return time.monotonic() - began > 1.5

    await eventually(busy)
    watchdog.stop()
    assert not seen.all
