"""The scheduler, tick by tick: what it declares, when it looks, what it tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, update

from celers_worker import Celers
from celers_worker.config import ScheduleSettings
from celers_worker.core.events import (
    SchedulesDeclared,
    ScheduleUnreadable,
    TasksEnqueued,
    TasksPruned,
    TicksFired,
    TicksMissed,
    TicksOverlapped,
)
from celers_worker.core.schedule import Source
from celers_worker.services.scheduler import Scheduler
from celers_worker.store import make_store, schedule_control, sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import schedules as table
from celers_worker.store.transaction import Transaction
from tests.services.conftest import MakeStaff
from tests.services.crews import Staff, configured
from tests.services.test_upkeep import upkeep
from tests.store import scheduling, steps
from tests.store.scheduling import add, let_pass, outcomes, row, schedule, ticks

HOUR = timedelta(hours=1)


def scheduler(staff: Staff) -> Scheduler:
    found = upkeep(staff, "scheduler")
    assert isinstance(found, Scheduler)
    return found


async def round_of(staff: Staff) -> None:
    """Tick until there is nothing more to do."""
    while await scheduler(staff).tick():
        pass


@pytest.fixture
def app() -> Celers:
    """An application with a schedule of its own."""
    app = Celers()

    @app.task(queue="reports", schedule="@hourly")
    async def report() -> None: ...

    return app


async def test_it_declares_what_the_code_does_and_fires_it(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    await round_of(staff)
    assert staff.seen.one(SchedulesDeclared).names == ["report"]
    assert (row(direct, "report").source, row(direct, "report").cron) == (Source.CODE, "@hourly")
    assert not staff.seen.of(TicksFired)

    let_pass(direct, "report", HOUR)
    await round_of(staff)
    [task] = steps.live_rows(direct)
    fired = staff.seen.one(TicksFired)
    assert (fired.schedule, fired.tasks, task.queue_name) == ("report", [task.id], "reports")
    assert staff.seen.one(TasksEnqueued).counts == {("reports", "report"): 1}


async def test_two_workers_fire_a_tick_once(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    # T16
    one, other = await make_staff(app), await make_staff(app)
    for staff in (one, other):
        await round_of(staff)
    let_pass(direct, "report", HOUR)
    for staff in (one, other, one):
        await round_of(staff)
    assert len([*one.seen.of(TicksFired), *other.seen.of(TicksFired)]) == 1
    assert len(steps.live_rows(direct)) == 1


async def test_a_worker_without_the_code_leaves_its_schedules_alone(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    await round_of(await make_staff(app))
    let_pass(direct, "report", HOUR)
    stranger = await make_staff(Celers())
    await round_of(stranger)
    assert steps.live_rows(direct) == []
    assert scheduler(stranger).pause() == 5


async def test_it_sleeps_until_the_next_tick_and_no_longer_than_its_interval(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(Celers())
    await round_of(staff)
    assert scheduler(staff).pause() == 5
    add(direct, schedule())

    def soon(transaction: Transaction) -> None:
        transaction.connection.execute(update(table).values(next_tick=sql.later(2)))

    direct.run(soon)
    another = await make_staff(Celers())
    await round_of(another)
    assert 0 < scheduler(another).pause() <= 2


async def test_while_something_is_held_it_looks_again_soon(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    add(direct, schedule(overlap="queue"))
    staff = await make_staff(Celers())
    let_pass(direct, "nightly", HOUR)
    await round_of(staff)
    direct.run(
        lambda transaction: transaction.connection.exec_driver_sql(
            "DELETE FROM celers_schedule_ticks"
        )
    )
    let_pass(direct, "nightly", HOUR)
    await round_of(staff)
    assert row(direct).waiting_tick is not None
    assert scheduler(staff).pause() == 1


async def test_an_idle_look_is_one_statement(make_staff: MakeStaff, direct: DirectStore) -> None:
    add(direct, *(schedule(f"s{number}") for number in range(20)))
    staff = await make_staff(Celers())
    await round_of(staff)
    said: list[str] = []
    run = staff.store.run

    async def heard(operation: Any, *args: Any, **kwargs: Any) -> Any:
        def listened(transaction: Transaction, *rest: Any, **options: Any) -> Any:
            @event.listens_for(transaction.connection, "before_cursor_execute")
            def hear(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
                said.append(statement)

            return operation(transaction, *rest, **options)

        return await run(listened, *args, **kwargs)

    staff.store.run = heard  # type: ignore[method-assign]
    await scheduler(staff).tick()
    assert len(said) == 1


async def test_what_is_missed_and_what_overlaps_is_told(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    add(
        direct,
        schedule("skipping", every="1m", misfire="skip"),
        schedule("busy", every="1s", overlap="skip"),
    )
    staff = await make_staff(Celers())
    let_pass(direct, "skipping", HOUR)
    let_pass(direct, "busy", timedelta(seconds=20))
    await round_of(staff)
    missed = staff.seen.one(TicksMissed)
    assert missed.schedule == "skipping"
    assert timedelta(minutes=55) < missed.until - missed.since < HOUR
    assert staff.seen.of(TicksOverlapped)[0].schedule == "busy"
    assert outcomes(direct)["overlapped"] == sum(
        told.count for told in staff.seen.of(TicksOverlapped)
    )


async def test_what_cannot_be_read_is_told_once_and_the_others_go_on(
    make_staff: MakeStaff, direct: DirectStore
) -> None:
    add(direct, schedule("broken", cron="@hourly"), schedule("sound"))
    direct.run(
        lambda transaction: transaction.connection.exec_driver_sql(
            "UPDATE celers_schedules SET time_zone = 'Mars/Phobos' WHERE name = 'broken'"
        )
    )
    staff = await make_staff(Celers())
    for name in ("broken", "sound"):
        let_pass(direct, name, HOUR)
    for _ in range(3):
        await round_of(staff)
    assert staff.seen.one(ScheduleUnreadable).schedule == "broken"
    assert staff.seen.one(TicksFired).schedule == "sound"


async def test_a_row_that_was_removed_is_declared_again_by_a_worker_that_runs(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    await round_of(staff)
    direct.run(schedule_control.remove, "report", force=True)
    await round_of(staff)
    assert row(direct, "report").source == Source.CODE


async def test_it_says_now_and_then_that_it_still_declares_what_it_does(
    app: Celers, make_staff: MakeStaff, direct: DirectStore
) -> None:
    staff = await make_staff(app)
    await round_of(staff)
    scheduling.unseen(direct, "report", HOUR)
    await round_of(staff)
    found = row(direct, "report")
    assert found.now - found.seen_at < timedelta(minutes=1)


async def test_the_configuration_goes_before_the_code(
    app: Celers, make_staff: MakeStaff, direct: DirectStore, migrated_url: str
) -> None:
    await round_of(await make_staff(app))
    config = configured(migrated_url)
    changed = msgspec.structs.replace(
        config, schedules={"report": ScheduleSettings(every=timedelta(minutes=5))}
    )
    staff = Staff(app, changed, make_store(changed.database.url))
    await staff.store.open()
    await round_of(staff)
    await staff.close()
    found = row(direct, "report")
    assert (found.source, found.interval_seconds, found.cron) == ("configuration", 300, None)


async def test_the_janitor_prunes_old_ticks(make_staff: MakeStaff, direct: DirectStore) -> None:
    add(direct, schedule())
    staff = await make_staff(Celers(), retention__ticks="0s")
    let_pass(direct, "nightly", HOUR)
    await round_of(staff)
    await upkeep(staff, "janitor").tick()
    assert staff.seen.one(TasksPruned).counts["ticks"] == 1
    assert ticks(direct) == []
