from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from celers_worker import Celers, Snooze, Worker, backoff
from celers_worker.core.errors import Unavailable
from celers_worker.core.events import TasksClaimed, TasksRecovered
from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import TaskState
from celers_worker.services import poller
from celers_worker.store import inspect, survey
from celers_worker.store.direct import DirectStore
from tests.services.conftest import MakeStaff
from tests.services.crews import configured, ids, locked, new_task
from tests.services.desk import a_task
from tests.services.relay import Relay
from tests.store.steps import live_rows, lose_worker
from tests.waiting import eventually


@pytest.fixture
def app() -> Celers:
    app = Celers()

    @app.task(name="work")
    async def work() -> None:
        await asyncio.Event().wait()

    @app.task(name="rare", concurrency=1)
    async def rare() -> None:
        await asyncio.Event().wait()

    return app


async def test_what_is_claimed_runs_at_once(app: Celers, make_staff: MakeStaff) -> None:
    staff = await make_staff(app)
    await staff.enter()
    await staff.store.enqueue([new_task(), new_task(priority=5)])
    assert await staff.crew.poller.tick(), "there may be more"
    claimed = staff.seen.one(TasksClaimed).tasks
    assert [task.priority for task in claimed] == [5, 0]
    assert set(staff.crew.runner.runs) == set(ids(claimed))


async def test_no_more_is_claimed_than_there_is_room_for(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app, concurrency=5, queue_concurrency=3)
    await staff.enter()
    for queue in ("mail", "reports"):
        await staff.store.enqueue([new_task(queue=queue) for _ in range(10)])
        await staff.store.enqueue([new_task("rare", queue=queue) for _ in range(10)])
    while await staff.crew.poller.tick():
        pass
    permits = staff.crew.runner._permits
    assert permits.in_use == 5
    assert max(permits.in_use_by_queue.values()) == 3
    assert permits.in_use_by_handler["rare"] <= 1
    rows = live_rows(direct)
    assert sum(row.state == TaskState.PROCESSING for row in rows) == 5
    assert len(rows) == 40


async def test_a_full_worker_asks_the_database_nothing(app: Celers, make_staff: MakeStaff) -> None:
    staff = await make_staff(app, concurrency=1)
    await staff.enter()
    await staff.store.enqueue([new_task(), new_task()])
    await staff.claim()
    claims = len(staff.seen.of(TasksClaimed))
    assert not await staff.crew.poller.tick()
    assert len(staff.seen.of(TasksClaimed)) == claims


async def test_a_worker_whose_outcomes_pile_up_claims_no_more(
    app: Celers, make_staff: MakeStaff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "BACKLOG", 3)
    staff = await make_staff(app)
    await staff.enter()
    await staff.store.enqueue([new_task() for _ in range(5)])
    for _ in range(2):
        staff.crew.settler.put(Settlement(a_task(), Completed()))
    assert len(await staff.claim()) == 1
    staff.crew.settler.put(Settlement(a_task(), Completed()))
    assert not await staff.claim()
    await staff.crew.settler.tick()
    assert len(await staff.claim()) == 3


async def test_a_worker_without_a_lease_claims_nothing(app: Celers, make_staff: MakeStaff) -> None:
    staff = await make_staff(app)
    await staff.store.enqueue([new_task()])
    assert not await staff.claim()
    await staff.enter()
    assert len(await staff.claim()) == 1


async def test_a_queue_that_is_not_served_is_left_alone(app: Celers, make_staff: MakeStaff) -> None:
    # T4
    staff = await make_staff(app, queues=["mail"])
    await staff.enter()
    await staff.store.enqueue([new_task(queue="mail"), new_task(queue="reports")])
    assert [task.queue for task in await staff.claim()] == ["mail"]
    assert not await staff.claim()


async def test_a_name_without_a_handler_is_parked_visible_and_not_claimed_again(
    app: Celers, make_staff: MakeStaff
) -> None:
    # T19, T34
    staff = await make_staff(app)
    await staff.enter()
    [unknown] = await staff.store.enqueue([new_task("wrok")])
    assert ids(await staff.claim()) == [unknown.id]
    await staff.crew.settler.tick()
    view = await staff.store.run(inspect.task, unknown.id)
    assert view is not None
    assert view.state is TaskState.PENDING
    assert (view.retry_count, view.crash_count) == (0, 0)
    assert view.error == "no handler is called 'wrok'. Did you mean 'work'?"
    staff.store.levels.forget()
    await staff.store.enqueue([new_task("wrok"), new_task("work")])
    assert [task.name for task in await staff.claim()] == ["work"]
    assert await staff.store.run(survey.unhandled_names, ["work"]) == {"wrok": 2}


async def test_the_poller_sleeps_no_longer_than_until_the_next_task_is_due(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app, poll_interval="60s")
    await staff.enter()
    assert staff.crew.poller.pause() == 60
    await staff.store.enqueue([new_task(delay=timedelta(seconds=5))])
    await staff.claim()
    assert 0 < staff.crew.poller.pause() <= 5


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_a_claim_whose_answer_was_lost_is_given_back_and_claimed_again(
    app: Celers, make_staff: MakeStaff, migrated_url: str, direct: DirectStore
) -> None:
    async with Relay(migrated_url) as relay:
        staff = await make_staff(app, url=relay.url)
        await staff.enter()
        [kept] = await staff.store.enqueue([new_task()])
        await staff.claim()
        [lost] = await staff.store.enqueue([new_task()])
        marks = [staff.crew.identity.id.encode()]
        if migrated_url.startswith("mysql"):
            marks.append(b"COMMIT")
        relay.lose_the_answer_after(*marks)
        with pytest.raises(Unavailable):
            await staff.crew.poller.tick()
        await eventually(lambda: {row.state for row in live_rows(direct)} == {TaskState.PROCESSING})
        assert set(staff.crew.runner.runs) == {kept.id}
        await eventually(staff.crew.poller.tick)
        assert staff.seen.one(TasksRecovered).count == 1
        assert set(staff.crew.runner.runs) == {kept.id, lost.id}
        attempts = {row.id: (row.retry_count, row.crash_count) for row in live_rows(direct)}
        assert attempts == {kept.id: (0, 0), lost.id: (0, 0)}


async def test_a_claim_that_is_made_after_its_worker_stopped_waiting_is_given_back_too(
    app: Celers, make_staff: MakeStaff, migrated_url: str, direct: DirectStore
) -> None:
    staff = await make_staff(app, database__call_timeout="300ms")
    await staff.enter()
    await staff.store.enqueue([new_task()])
    await staff.claim()
    await staff.store.enqueue([new_task(), new_task()])
    async with locked(migrated_url, "celers_tasks"):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await staff.crew.poller.tick()

    async def every_task_runs() -> bool:
        await staff.crew.poller.tick()
        return len(staff.crew.runner.runs) == 3

    await eventually(every_task_runs)
    assert all(row.state == TaskState.PROCESSING for row in live_rows(direct))


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
async def test_a_claim_that_arrives_even_after_the_next_one_was_answered_is_found_too(
    app: Celers,
    make_staff: MakeStaff,
    migrated_url: str,
    direct: DirectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poller, "LOOK", 0.1)
    async with Relay(migrated_url) as relay:
        staff = await make_staff(app, url=relay.url, database__call_timeout="1s")
        await staff.enter()
        await staff.store.enqueue([new_task()])
        await staff.claim()  # so that the next claim is sent in one piece
        await staff.store.enqueue([new_task()])
        staff.store.levels.forget()
        relay.hold_back(staff.crew.identity.id.encode())
        with pytest.raises(Unavailable):
            await staff.crew.poller.tick()
        await staff.crew.poller.tick()
        assert len(staff.crew.runner.runs) == 2
        await staff.store.enqueue([new_task()])

        relay.let_arrive()

        async def every_task_runs() -> bool:
            await staff.crew.poller.tick()
            return len(staff.crew.runner.runs) == 3

        await eventually(lambda: {row.state for row in live_rows(direct)} == {TaskState.PROCESSING})
        await eventually(every_task_runs)
        assert staff.seen.one(TasksRecovered).count == 1


async def test_outcomes_that_wait_to_be_written_are_not_given_back_by_mistake(
    app: Celers, make_staff: MakeStaff, migrated_url: str
) -> None:
    staff = await make_staff(app, database__call_timeout="300ms")
    await staff.enter()
    [done] = await staff.store.enqueue([new_task()])
    [task] = await staff.claim()
    staff.crew.runner.cancel(done.id, "nobody wants it")
    await staff.crew.runner.idle(5)
    assert staff.crew.settler.unsettled() == {task.id}
    async with locked(migrated_url, "celers_tasks"):
        with pytest.raises(Unavailable):
            await staff.crew.poller.tick()
    await eventually(lambda: _ticks(staff.crew.poller))
    assert not staff.seen.of(TasksRecovered)
    assert await staff.crew.settler.flush(10)
    view = await staff.store.run(inspect.task, done.id)
    assert view is not None
    assert view.state is TaskState.CANCELLED


async def _ticks(service: poller.Poller) -> bool:
    await service.tick()
    return True


async def test_a_lost_worker_row_does_not_stop_the_poller(
    app: Celers, make_staff: MakeStaff
) -> None:
    staff = await make_staff(app)
    await staff.enter()
    await lose_worker(staff.store, staff.crew.identity.id)
    await staff.crew.heartbeat.tick()
    await staff.store.enqueue([new_task()])
    assert len(await staff.claim()) == 1


async def test_what_unwritten_outcomes_held_up_is_claimed_as_soon_as_they_are_written(
    make_staff: MakeStaff, direct: DirectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Celers()
    app.task(name="quick")(lambda: None)
    monkeypatch.setattr(poller, "BACKLOG", 1)
    staff = await make_staff(app, poll_interval="1h")
    await staff.enter()
    await staff.store.enqueue([new_task(name="quick") for _ in range(20)])
    services = (staff.crew.settler, staff.crew.poller)
    for service in services:
        await service.start()
    await eventually(lambda: not live_rows(direct))
    for service in reversed(services):
        await service.stop()


async def test_a_task_that_goes_back_for_a_moment_runs_again_after_it(
    migrated_url: str,
) -> None:
    app = Celers()
    delays = iter([timedelta(milliseconds=100), timedelta(milliseconds=50)])

    @app.task(backoff=backoff.fixed("100ms"))
    async def comes_back() -> str:
        if delay := next(delays, None):
            raise Snooze(delay)
        return "done"

    # Nobody would look for it before the test has failed.
    config = configured(migrated_url, poll_interval="10m")
    async with Worker(app, config):
        added = await comes_back.enqueue()
        assert await added.result(timeout=20) == "done"
    await app.close()
