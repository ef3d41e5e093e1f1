from __future__ import annotations

import asyncio
import time

import pytest

from celers_worker import Celers
from celers_worker.core.errors import Unavailable
from celers_worker.core.events import LeasesLost, SettleRefused
from celers_worker.core.task import Task, TaskState
from celers_worker.services.heartbeat import Heartbeat
from celers_worker.store import control, inspect, results, survey
from celers_worker.store.direct import DirectStore
from celers_worker.store.inspect import TaskFilter
from tests.services.conftest import MakeStaff
from tests.services.crews import Staff, ids, locked, new_task
from tests.store.steps import change_task, execute, live_row, lose_worker
from tests.waiting import eventually

SHORT = {"lease": "600ms", "heartbeat_interval": "100ms", "reap_interval": "100ms"}


@pytest.fixture
def app() -> Celers:
    app = Celers()

    @app.task(name="work")
    async def work() -> None:
        await asyncio.Event().wait()

    return app


async def at_work(staff: Staff, count: int = 1) -> list[Task]:
    """Let the worker run so many tasks."""
    await staff.enter()
    await staff.store.enqueue([new_task() for _ in range(count)])
    tasks = await staff.claim()
    assert len(tasks) == count
    return tasks


async def test_a_worker_appears_with_what_it_is_and_does(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app, name="mail-1", queues=["mail:2", "default"], concurrency=7)
    await at_work(staff, 2)
    await eventually(lambda: staff.crew.runner.running == 2)
    await staff.crew.heartbeat.tick()
    [worker] = await staff.store.run(survey.list_workers)
    assert (worker.id, worker.name) == (staff.crew.identity.id, "mail-1")
    assert (worker.queues, worker.handlers) == (["default", "mail"], ["work"])
    assert (worker.concurrency, worker.running, worker.state) == (7, 2, "running")


async def test_a_heartbeat_renews_one_row_for_all_tasks(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    await at_work(staff, 3)
    [[before]] = execute(direct, "SELECT expires_at FROM celers_workers")
    await staff.crew.heartbeat.tick()
    [[after]] = execute(direct, "SELECT expires_at FROM celers_workers")
    assert after > before
    assert len(staff.crew.runner.runs) == 3
    assert not staff.seen.of(LeasesLost)


async def test_a_worker_that_stops_leaves_no_row(app: Celers, make_staff: MakeStaff) -> None:
    staff = await make_staff(app)
    await staff.crew.heartbeat.start()
    assert len(await staff.store.run(survey.list_workers)) == 1
    await staff.crew.heartbeat.stop()
    assert not await staff.store.run(survey.list_workers)


async def test_a_run_whose_task_another_worker_took_is_stopped_and_its_outcome_refused(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    # T7
    staff = await make_staff(app)
    lost, kept = await at_work(staff, 2)
    await change_task(staff.store, lost.id, lease=lost.lease + 2, worker_id="another")
    await staff.crew.heartbeat.tick()
    await eventually(lambda: set(staff.crew.runner.runs) == {kept.id})
    assert ids(staff.seen.one(LeasesLost).tasks) == [lost.id]
    await staff.crew.settler.tick()
    assert [one.task.id for one in staff.seen.one(SettleRefused).settlements] == [lost.id]
    assert live_row(direct, lost.id).worker_id == "another"


async def test_a_worker_whose_lease_ran_out_stops_its_runs_and_comes_back_as_another(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app)
    await at_work(staff, 2)
    first = staff.crew.identity.id
    await lose_worker(staff.store, first)
    await staff.crew.heartbeat.tick()
    assert staff.crew.identity.id != first
    assert staff.crew.heartbeat.holds_lease
    assert await staff.crew.runner.idle(5)
    assert len(staff.seen.one(LeasesLost).tasks) == 2
    states = {worker.id: worker.state for worker in await staff.store.run(survey.list_workers)}
    assert states == {first: "lost", staff.crew.identity.id: "running"}


async def test_tasks_that_a_lapsed_worker_gives_back_lose_no_attempt(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    [task] = await at_work(staff)
    await lose_worker(staff.store, staff.crew.identity.id)
    await staff.crew.heartbeat.tick()
    assert await staff.crew.runner.idle(5)
    await staff.crew.settler.tick()
    row = live_row(direct, task.id)
    assert (row.state, row.retry_count, row.crash_count) == ("pending", 0, 0)


async def test_a_worker_whose_row_was_deleted_registers_again(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    await staff.enter()
    execute(direct, "DELETE FROM celers_workers")
    await staff.crew.heartbeat.tick()
    assert [worker.id for worker in await staff.store.run(survey.list_workers)] == [
        staff.crew.identity.id
    ]


async def test_a_worker_that_cannot_renew_stops_its_runs_before_its_lease_ends(
    app: Celers, make_staff: MakeStaff, migrated_url: str
) -> None:
    staff = await make_staff(
        app,
        lease="1200ms",
        heartbeat_interval="300ms",
        reap_interval="1s",
        database__call_timeout="200ms",
    )
    await at_work(staff)
    await staff.crew.heartbeat.tick()
    last = time.monotonic()
    async with locked(migrated_url, "celers_workers"):
        with pytest.raises(Unavailable):
            await staff.crew.heartbeat.tick()
        assert staff.crew.runner.runs, "one failed heartbeat is not yet the end"
        assert await staff.crew.runner.idle(5)
        assert time.monotonic() - last < 1.2
        assert not staff.crew.heartbeat.holds_lease
        assert not await staff.claim(), "without a lease nothing is claimed"
    assert staff.seen.one(LeasesLost).reason == "the lease could not be renewed in time"


async def test_a_lease_that_is_renewed_in_time_stops_nothing(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app, **SHORT)
    await at_work(staff)
    began = time.monotonic()

    async def renewed_for_longer_than_a_lease() -> bool:
        await staff.crew.heartbeat.tick()
        return time.monotonic() - began > 0.7

    await eventually(renewed_for_longer_than_a_lease)
    assert staff.crew.runner.runs
    assert not staff.seen.of(LeasesLost)


async def test_a_request_to_cancel_reaches_the_run(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    # T28
    staff = await make_staff(app)
    cancelled, kept = await at_work(staff, 2)
    asked = direct.run(control.cancel, TaskFilter(ids=[cancelled.id]), "nobody wants it")
    assert asked.requested == [cancelled.id]
    await staff.crew.heartbeat.tick()
    await eventually(lambda: set(staff.crew.runner.runs) == {kept.id})
    await staff.crew.settler.tick()
    view = direct.run(inspect.task, cancelled.id)
    assert view is not None
    assert (view.state, view.error) == (TaskState.CANCELLED, "nobody wants it")


async def test_to_cancel_what_has_ended_does_nothing(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    # T28
    app = Celers()
    app.task(name="work")(lambda: None)
    staff = await make_staff(app)
    [task] = await at_work(staff)
    assert await staff.crew.runner.idle(5)
    await staff.crew.settler.tick()
    done = direct.run(control.cancel, TaskFilter(ids=[task.id]), "too late")
    assert (done.cancelled, done.requested) == ([], [])
    assert direct.run(results.ending_of, task.id).state is TaskState.COMPLETED  # type: ignore[union-attr]  # it is there


async def test_a_task_that_ends_while_its_lease_is_looked_up_is_not_taken_for_lost(
    make_staff: MakeStaff,
) -> None:
    app = Celers()
    finish = asyncio.Event()

    @app.task(name="work")
    async def work() -> None:
        await finish.wait()

    staff = await make_staff(app)
    await at_work(staff, 3)
    checking = asyncio.create_task(staff.crew.heartbeat.check())
    await asyncio.sleep(0)
    finish.set()
    assert await staff.crew.runner.idle(5)
    await staff.crew.settler.tick()
    await checking
    assert not staff.seen.of(LeasesLost)
    assert not staff.seen.of(SettleRefused)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_somebody_else_may_renew_the_lease_while_the_loop_is_blocked(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app, **SHORT)
    await at_work(staff)
    heartbeat: Heartbeat = staff.crew.heartbeat
    time.sleep(0.55)  # noqa: ASYNC251  # the loop is blocked until after the alarm
    heartbeat.extended(time.monotonic())
    await asyncio.sleep(0)
    assert staff.crew.runner.runs
    assert heartbeat.holds_lease
    await eventually(lambda: not staff.crew.runner.runs)
    assert staff.seen.of(LeasesLost)
