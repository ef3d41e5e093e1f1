"""Handlers that are held: paused by somebody, or because nearly all of their tasks fail."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta

import pytest

from celers_worker import Celers, Snooze, backoff
from celers_worker.circuit import circuit
from celers_worker.core.control_events import (
    CircuitClosed,
    CircuitOpened,
    CircuitProbed,
    HandlerFreed,
    HandlerHeld,
)
from celers_worker.core.events import TasksClaimed
from celers_worker.core.task import TaskState
from celers_worker.store import inspect, orders
from celers_worker.store.direct import DirectStore
from tests.services.conftest import MakeStaff
from tests.services.crews import Staff, new_task
from tests.store.steps import execute, live_rows
from tests.waiting import eventually


class Service:
    """What the handler calls: down until it is up."""

    def __init__(self) -> None:
        self.is_up = False
        self.snoozes = False
        self.calls = 0

    def call(self) -> None:
        self.calls += 1
        if self.snoozes:
            raise Snooze("0s")
        if not self.is_up:
            raise ConnectionError("the service is down")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def app(service: Service) -> Celers:
    app = Celers()
    soon = backoff.fixed("0s")

    @app.task(name="call", circuit=circuit(2, rest="1h"), max_retries=9, backoff=soon)
    async def call() -> None:
        service.call()

    @app.task(name="work")
    async def work() -> None:
        pass

    return app


async def beat(staff: Staff) -> None:
    """Let the worker's heart beat, twice: what the first one finds out is written."""
    await staff.crew.heartbeat.tick()
    await staff.crew.heartbeat.tick()


async def work_off(staff: Staff, times: int = 1) -> int:
    """Claim, run and settle; how many tasks there were."""
    done = 0
    for _ in range(times):
        done += len(await staff.claim())
        await eventually(lambda: not staff.crew.runner.runs)
        while await staff.crew.settler.tick():
            pass
    return done


async def opened(make_staff: MakeStaff, app: Celers, count: int = 4) -> Staff:
    """A worker that has opened the circuit of "call", with tasks that wait."""
    staff = await make_staff(app, concurrency=2)
    await staff.enter()
    await staff.store.enqueue([new_task("call") for _ in range(count)])
    assert await work_off(staff) == 2
    await beat(staff)
    return staff


def rest_is_over(direct: DirectStore) -> None:
    execute(direct, "UPDATE celers_handlers SET probe_at = opened_at")


# --- paused ---


async def test_a_paused_handler_is_claimed_by_nobody_and_the_others_run(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    await staff.enter()
    await staff.store.run(orders.pause, "call", "by ada")
    await staff.crew.heartbeat.tick()
    await staff.store.enqueue([new_task("call"), new_task("work")])
    assert [task.name for task in await staff.claim()] == ["work"]
    assert staff.seen.one(HandlerHeld) == HandlerHeld("call", "paused")
    await staff.store.run(orders.resume, "call")
    await staff.crew.heartbeat.tick()
    assert [task.name for task in await staff.claim()] == ["call"]
    assert staff.seen.one(HandlerFreed) == HandlerFreed("call")


async def test_a_pause_is_still_there_for_a_worker_that_starts_later(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    direct.run(orders.pause, "work", None)
    staff = await make_staff(app)
    await staff.crew.heartbeat.start()
    await staff.store.enqueue([new_task("work")])
    assert await staff.claim() == [], "it has read what is held before its first claim"


async def test_what_was_claimed_ahead_is_given_back_without_an_attempt(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    app, gate = Celers(), asyncio.Event()

    @app.task(name="work")
    async def work() -> None:
        await gate.wait()

    staff = await make_staff(app, concurrency=1, prefetch=3)
    await staff.enter()
    await staff.store.enqueue([new_task("work") for _ in range(4)])
    assert len(await staff.claim()) == 4
    await eventually(lambda: staff.crew.runner.running == 1)
    await staff.store.run(orders.pause, "work", None)
    await staff.crew.heartbeat.tick()
    await staff.crew.settler.tick()
    states = sorted((row.state, row.retry_count) for row in live_rows(direct))
    assert states == [("pending", 0)] * 3 + [("processing", 0)]
    gate.set()


async def test_a_claim_that_passed_over_held_tasks_and_found_no_other_is_not_repeated_at_once(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    await staff.enter()
    direct.run(orders.pause, "call", None)
    await staff.crew.heartbeat.tick()
    await staff.store.enqueue([new_task("call") for _ in range(3)])
    assert await staff.claim() == []
    staff.crew.poller.rests_until = math.inf
    claims = len(staff.seen.of(TasksClaimed))
    assert await staff.claim() == []
    assert len(staff.seen.of(TasksClaimed)) == claims, "nobody was asked"
    direct.run(orders.resume, "call")
    await staff.crew.heartbeat.tick()
    assert len(await staff.claim()) == 3, "once it is free there is nothing to wait for"


# --- circuits ---


async def test_a_circuit_opens_after_its_failures_and_holds_without_burning_attempts(
    app: Celers, make_staff: MakeStaff, direct: DirectStore, service: Service
) -> None:
    staff = await opened(make_staff, app)
    event = staff.seen.one(CircuitOpened)
    assert (event.handler, event.error) == ("call", "ConnectionError: the service is down")
    await staff.store.enqueue([new_task("work")])
    assert [task.name for task in await staff.claim()] == ["work"]
    await beat(staff)
    assert await work_off(staff, 3) == 0
    assert service.calls == 2
    attempts = sorted(row.retry_count for row in live_rows(direct) if row.task_name == "call")
    assert attempts == [0, 0, 1, 1], "those that failed, and no others"


async def test_a_circuit_that_one_worker_opened_is_held_by_the_others(
    app: Celers, make_staff: MakeStaff, service: Service
) -> None:
    await opened(make_staff, app)
    other = await make_staff(app)
    await other.enter()
    await other.crew.heartbeat.tick()
    assert await work_off(other) == 0
    assert service.calls == 2


async def test_one_task_is_tried_after_the_rest_and_by_one_worker_only(
    app: Celers, make_staff: MakeStaff, direct: DirectStore, service: Service
) -> None:
    first = await opened(make_staff, app)
    second = await make_staff(app)
    await second.enter()
    rest_is_over(direct)
    for staff in (first, second):
        await beat(staff)
    assert [len(await staff.claim()) for staff in (first, second)] == [1, 0]
    await eventually(lambda: not first.crew.runner.runs)
    await first.crew.settler.tick()
    assert service.calls == 3
    assert len(first.seen.of(CircuitProbed)) == 1
    await beat(first)
    assert await work_off(first) == 0, "it failed: all wait for the next rest"


async def test_a_task_that_was_tried_and_completes_closes_the_circuit_for_all(
    app: Celers, make_staff: MakeStaff, direct: DirectStore, service: Service
) -> None:
    first = await opened(make_staff, app)
    second = await make_staff(app)
    await second.enter()
    await second.crew.heartbeat.tick()
    rest_is_over(direct)
    service.is_up = True
    await beat(first)
    assert await work_off(first) == 1
    await first.crew.heartbeat.tick()
    await second.crew.heartbeat.tick()
    assert first.seen.one(CircuitClosed).handler == "call"
    assert direct.run(orders.held) == []
    assert await work_off(second, 2) == 3
    assert live_rows(direct) == []


async def test_a_turn_in_which_no_task_came_is_left_to_another_worker(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    first = await make_staff(app, queues=["elsewhere"])
    await first.enter()
    direct.run(orders.open_circuit, "call", "down", 0.0)
    await beat(first)
    [held] = direct.run(orders.held)
    assert held.prober == first.crew.identity.id
    rest_is_over(direct)
    await beat(first)  # nothing of it came its way
    second = await make_staff(app)
    await second.enter()
    await beat(second)
    [held] = direct.run(orders.held)
    assert held.prober == second.crew.identity.id


async def test_a_task_that_is_tried_and_snoozed_says_nothing(
    app: Celers, make_staff: MakeStaff, direct: DirectStore, service: Service
) -> None:
    staff = await opened(make_staff, app, count=2)
    rest_is_over(direct)
    service.snoozes = True
    await beat(staff)
    assert await work_off(staff) == 1
    assert staff.seen.of(CircuitClosed) == []
    service.snoozes, service.is_up = False, True
    assert await work_off(staff) == 1, "the turn is still its own"
    await staff.crew.heartbeat.tick()
    assert len(staff.seen.of(CircuitClosed)) == 1


async def test_a_task_that_was_to_be_tried_and_had_expired_does_not_keep_the_turn(
    app: Celers, make_staff: MakeStaff, direct: DirectStore, service: Service
) -> None:
    staff = await make_staff(app)
    await staff.enter()
    direct.run(orders.open_circuit, "call", "down", 0.0)
    await beat(staff)
    await staff.store.enqueue([new_task("call", expires=timedelta(0)), new_task("call")])
    assert await work_off(staff) == 1
    assert service.calls == 0, "it had expired"
    service.is_up = True
    rest_is_over(direct)
    await beat(staff)  # it lets go of the turn, and takes another
    assert await work_off(staff) == 1
    assert service.calls == 1


async def test_an_open_circuit_does_not_hold_a_handler_that_declares_none(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    app = Celers()

    @app.task(name="work")
    async def work() -> None:
        pass

    direct.run(orders.open_circuit, "work", "of an older version", 3600.0)
    staff = await make_staff(app)
    await staff.enter()
    await beat(staff)
    await staff.store.enqueue([new_task("work")])
    assert await work_off(staff) == 1


async def test_a_person_closes_a_circuit_by_resuming_the_handler(
    app: Celers, make_staff: MakeStaff, direct: DirectStore, service: Service
) -> None:
    staff = await opened(make_staff, app)
    service.is_up = True
    direct.run(orders.resume, "call")
    await staff.crew.heartbeat.tick()
    assert await work_off(staff, 2) == 4
    assert live_rows(direct) == []


async def test_failures_among_many_that_complete_open_nothing(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    app = Celers()

    @app.task(name="mixed", circuit=circuit(2, rate=0.5), max_retries=0)
    async def mixed(fails: bool) -> None:
        if fails:
            raise ValueError("this one")

    staff = await make_staff(app)
    await staff.enter()
    good = [new_task("mixed", b'{"fails":false}', max_retries=0) for _ in range(8)]
    bad = [new_task("mixed", b'{"fails":true}', max_retries=0) for _ in range(3)]
    await staff.store.enqueue([*good, *bad])
    assert await work_off(staff) == 11
    await beat(staff)
    assert direct.run(orders.held) == []
    assert direct.run(inspect.count_tasks, inspect.TaskFilter(states=[TaskState.FAILED])) == 3
