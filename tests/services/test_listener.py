from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from celers_worker import Celers
from celers_worker.core.events import ServiceFailed, ServiceRecovered, TasksClaimed
from celers_worker.store import control
from celers_worker.store.direct import DirectStore
from celers_worker.store.inspect import TaskFilter
from tests import databases
from tests.services.conftest import MakeStaff
from tests.services.crews import Staff, new_task
from tests.waiting import eventually


@pytest.fixture
async def staff(make_staff: MakeStaff) -> AsyncIterator[Staff]:
    """A worker that would look for tasks only every ten minutes, if nobody woke it."""
    app = Celers()

    @app.task(name="work")
    async def work() -> None:
        await asyncio.Event().wait()

    staff = await make_staff(
        app, poll_interval="10m", lease="1h", heartbeat_interval="10m", reap_interval="10m"
    )
    services = (staff.crew.heartbeat, staff.crew.poller, staff.crew.listener)
    for service in services:
        await service.start()
    # One by itself, and one for what came while nobody listened yet.
    await eventually(lambda: len(staff.seen.of(TasksClaimed)) >= 2)
    yield staff
    for service in reversed(services[1:]):
        await service.stop()


async def test_a_task_that_is_enqueued_wakes_the_poller(staff: Staff, direct: DirectStore) -> None:
    direct.enqueue([new_task()])
    await eventually(lambda: staff.crew.runner.runs, within=5)


async def test_a_queue_that_is_resumed_wakes_the_poller(staff: Staff, direct: DirectStore) -> None:
    direct.run(control.pause, "default", None)
    direct.enqueue([new_task()])
    direct.run(control.resume, "default")
    await eventually(lambda: staff.crew.runner.runs, within=5)


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
async def test_a_request_to_cancel_wakes_the_heartbeat_where_the_database_can_tell(
    staff: Staff, direct: DirectStore
) -> None:
    # T28
    direct.enqueue([new_task()])
    await eventually(lambda: staff.crew.runner.runs, within=5)
    [task_id] = staff.crew.runner.runs
    direct.run(control.cancel, TaskFilter(ids=[task_id]), "nobody wants it")
    await eventually(lambda: not staff.crew.runner.runs, within=5)


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
async def test_a_connection_that_breaks_is_made_again_and_nothing_is_missed(
    staff: Staff, direct: DirectStore, migrated_url: str
) -> None:
    databases.execute(
        migrated_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query ILIKE 'listen%'",
    )
    await eventually(lambda: staff.seen.of(ServiceFailed))
    direct.enqueue([new_task()])  # while nobody listens
    await eventually(lambda: staff.crew.runner.runs, within=5)
    assert {event.service for event in staff.seen.of(ServiceFailed)} == {"listener"}


async def test_the_listener_ends_at_once_however_long_nothing_comes(staff: Staff) -> None:
    async with asyncio.timeout(2):
        await staff.crew.listener.stop()
    assert not staff.seen.of(ServiceRecovered)
