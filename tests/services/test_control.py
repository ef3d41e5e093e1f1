"""Orders in a worker's row are followed with its next heartbeat."""

from __future__ import annotations

import asyncio

import pytest

from celers_worker import Celers
from celers_worker.core.control_events import WorkerDirected
from celers_worker.core.orders import WorkerState
from celers_worker.store import orders, survey
from celers_worker.store.survey import WorkerView
from tests.services.conftest import MakeStaff
from tests.services.crews import Staff, new_task
from tests.store.steps import lose_worker
from tests.waiting import eventually


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def app(gate: asyncio.Event) -> Celers:
    app = Celers()

    @app.task(name="work")
    async def work() -> None:
        await gate.wait()

    return app


async def tell(staff: Staff, state: WorkerState) -> None:
    """Ask the worker for *state*, and let its heart beat."""
    assert await staff.store.run(orders.want_state, [staff.crew.identity.id], state, "ada@host")
    await staff.crew.heartbeat.tick()


async def row(staff: Staff) -> WorkerView:
    views = await staff.store.run(survey.list_workers)
    [view] = [view for view in views if view.id == staff.crew.identity.id]
    return view


async def test_a_quiet_worker_claims_no_more_and_goes_on_when_it_is_told(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app)
    await staff.enter()
    await staff.store.enqueue([new_task()])
    running = await staff.claim()
    await tell(staff, WorkerState.QUIET)
    await staff.store.enqueue([new_task()])
    assert await staff.claim() == []
    assert set(staff.crew.runner.runs) == {task.id for task in running}, "what runs goes on"
    await staff.crew.heartbeat.tick()
    assert (await row(staff)).state == "quiet"
    await tell(staff, WorkerState.RUNNING)
    assert len(await staff.claim()) == 1
    told = [(event.state, event.by) for event in staff.seen.of(WorkerDirected)]
    assert told == [("quiet", "ada@host"), ("running", "ada@host")]


async def test_an_order_that_was_followed_is_not_followed_again(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app)
    await staff.enter()
    await tell(staff, WorkerState.QUIET)
    await staff.crew.heartbeat.tick()
    assert len(staff.seen.of(WorkerDirected)) == 1


async def test_a_worker_is_scaled_while_it_runs(app: Celers, make_staff: MakeStaff) -> None:
    staff = await make_staff(app, concurrency=2, queues=["default", "narrow:1"])
    await staff.enter()
    await staff.store.enqueue([new_task() for _ in range(6)])
    assert len(await staff.claim()) == 2
    await staff.store.run(orders.want_concurrency, [staff.crew.identity.id], 5, "ada@host")
    await staff.crew.heartbeat.tick()
    assert len(await staff.claim()) == 3
    await eventually(lambda: staff.crew.runner.running == 5)
    view = await row(staff)
    assert view.concurrency == 5
    assert view.limits == {"queues": {"default": 5, "narrow": 1}, "others": None, "handlers": {}}
    await staff.store.run(orders.want_concurrency, [staff.crew.identity.id], 1, "ada@host")
    await staff.crew.heartbeat.tick()
    assert await staff.claim() == [], "what runs beyond the new limit is left to end"
    assert len(staff.crew.runner.runs) == 5


async def test_a_worker_that_drains_stops_when_nothing_runs(
    app: Celers, make_staff: MakeStaff, gate: asyncio.Event
) -> None:
    staff = await make_staff(app)
    stopped: list[str] = []
    staff.crew.control.on_stop(stopped.append)
    await staff.enter()
    await staff.store.enqueue([new_task()])
    await staff.claim()
    await tell(staff, WorkerState.DRAINING)
    assert (stopped, staff.crew.control.state) == ([], WorkerState.DRAINING)
    assert staff.crew.heartbeat.pause() <= 0.5, "it looks often now"
    gate.set()
    await eventually(lambda: not staff.crew.runner.runs)
    await staff.crew.heartbeat.tick()
    assert stopped == [], "its outcome is not written yet"
    await staff.crew.settler.tick()
    await staff.crew.heartbeat.tick()
    assert stopped == ["told to drain by ada@host"]


async def test_a_worker_that_drains_can_be_told_to_go_on(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app)
    stopped: list[str] = []
    staff.crew.control.on_stop(stopped.append)
    await staff.enter()
    await staff.store.enqueue([new_task(), new_task()])
    await staff.claim()
    await tell(staff, WorkerState.DRAINING)
    await tell(staff, WorkerState.RUNNING)
    await staff.store.enqueue([new_task()])
    assert len(await staff.claim()) == 1
    assert stopped == []


async def test_a_worker_that_is_told_to_stop_stops_once(app: Celers, make_staff: MakeStaff) -> None:
    staff = await make_staff(app)
    stopped: list[str] = []
    staff.crew.control.on_stop(stopped.append)
    await staff.enter()
    await tell(staff, WorkerState.STOPPING)
    await staff.crew.heartbeat.tick()
    assert stopped == ["told to stop by ada@host"]


async def test_a_worker_whose_lease_ran_out_keeps_its_orders_under_its_next_id(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app, concurrency=2)
    await staff.enter()
    await staff.store.run(orders.want_concurrency, [staff.crew.identity.id], 7, "ada@host")
    await tell(staff, WorkerState.QUIET)
    before = staff.crew.identity.id
    await lose_worker(staff.store, before)
    await staff.crew.heartbeat.tick()
    assert staff.crew.identity.id != before
    await staff.crew.heartbeat.tick()
    view = await row(staff)
    assert (view.state, view.concurrency, view.wanted_by) == ("quiet", 7, "ada@host")
    await staff.store.enqueue([new_task()])
    assert await staff.claim() == []


async def test_a_new_worker_begins_without_the_orders_of_another(
    app: Celers, make_staff: MakeStaff
) -> None:
    quiet = await make_staff(app)
    await quiet.enter()
    await tell(quiet, WorkerState.QUIET)
    fresh = await make_staff(app)
    await fresh.enter()
    await fresh.crew.heartbeat.tick()
    await fresh.store.enqueue([new_task()])
    assert len(await fresh.claim()) == 1
