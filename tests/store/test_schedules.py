"""Ticks on each database: at most one task each, whoever deals with them and whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.json import decode
from sqlalchemy import insert, select, update

from celers_worker import Options
from celers_worker.core.schedule import Source
from celers_worker.core.task import TaskState
from celers_worker.store import Store, schedule_control, schedules
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import schedule_ticks
from celers_worker.store.schema import schedules as table
from celers_worker.store.transaction import Transaction
from tests.store import scheduling, steps
from tests.store.conftest import OpenStore
from tests.store.scheduling import add, let_pass, outcomes, row, schedule, ticks
from tests.waiting import eventually

HOUR = timedelta(hours=1)
CODE = {"source": Source.CODE}


# --- a tick ---


async def test_a_tick_that_is_due_becomes_a_task(store: Store, direct: DirectStore) -> None:
    options = Options(
        queue="reports",
        priority=4,
        max_retries=1,
        timeout="9s",
        expires="1d",
        fingerprint="f",
        metadata={"team": "a"},
    )
    add(direct, schedule(arguments={"kind": "full"}, options=options))
    let_pass(direct, "nightly", HOUR)
    done = await store.run(schedules.tick, ())
    [dealt] = done.dealt
    [task] = steps.live_rows(direct)
    assert [one.id for one in dealt.tasks] == [task.id]
    assert (task.task_name, task.queue_name, task.priority, task.max_retries) == (
        *("report", "reports", 4, 1),
    )
    assert (task.timeout, task.fingerprint, decode(task.payload)) == (9.0, "f", {"kind": "full"})
    assert task.expires_at - task.created_at == timedelta(days=1)
    [tick] = ticks(direct)
    assert (tick.schedule_name, tick.outcome, tick.task_id) == ("nightly", "fired", task.id)
    assert tick.tick.minute == tick.tick.second == tick.tick.microsecond == 0
    assert task.metadata == {
        "team": "a",
        "schedule": "nightly",
        "tick": tick.tick.isoformat().replace("+00:00", "Z"),
    }
    now = row(direct)
    assert (now.due_after, now.last_task_id) == (tick.tick, task.id)
    assert now.next_tick == tick.tick + HOUR


async def test_before_its_tick_nothing_happens(store: Store, direct: DirectStore) -> None:
    add(direct, schedule())
    done = await store.run(schedules.tick, ())
    assert (done.dealt, ticks(direct), steps.live_rows(direct)) == ([], [], [])


async def test_a_schedule_that_is_added_counts_from_now(direct: DirectStore) -> None:
    add(direct, schedule())
    added = row(direct)
    assert added.now - added.due_after < timedelta(seconds=30)
    assert added.now < added.next_tick <= added.now + HOUR


async def test_a_task_of_a_tick_is_claimed_at_once(store: Store, direct: DirectStore) -> None:
    add(direct, schedule())
    let_pass(direct, "nightly", HOUR)
    await store.run(schedules.tick, ())
    assert (await steps.claim_one(store)).name == "report"


async def test_jitter_puts_a_task_off_but_its_tick_is_dealt_with(
    store: Store, direct: DirectStore
) -> None:
    wanted = schedule(every="1s", jitter="1h")
    add(direct, wanted)
    let_pass(direct, "nightly", timedelta(seconds=1))
    for _ in range(2):
        await store.run(schedules.tick, ())
    rows, told = steps.live_rows(direct), ticks(direct)
    assert len({one.tick for one in told}) == len(told) == len(rows)
    by_id = {one.id: one for one in rows}
    for one in told:
        assert by_id[one.task_id].scheduled_at == one.tick + wanted.delay_of(one.tick)


# --- at most once ---


async def test_three_schedulers_at_once_fire_every_tick_exactly_once(
    open_store: OpenStore, direct: DirectStore
) -> None:
    # T16
    names = [f"schedule-{number}" for number in range(20)]
    add(direct, *(schedule(name, misfire="all") for name in names))
    for name in names:
        let_pass(direct, name, 5 * HOUR)
    stores = [await open_store() for _ in range(3)]

    async def work(store: Store) -> None:
        for _ in range(5):
            await store.run(schedules.tick, ())

    await asyncio.gather(*map(work, stores))
    await work(stores[0])  # what one of them had locked when the others looked
    fired = [(one.schedule_name, one.tick) for one in ticks(direct)]
    assert len(set(fired)) == len(fired) == 5 * len(names)
    assert {one.task_id for one in ticks(direct)} == {one.id for one in steps.live_rows(direct)}
    assert len(steps.live_rows(direct)) == len(fired)


async def test_a_tick_that_has_a_row_is_not_fired_again(store: Store, direct: DirectStore) -> None:
    """Not even if the schedule forgot it: was removed and added, or its clock set back."""
    add(direct, schedule())
    for _ in range(3):
        let_pass(direct, "nightly", HOUR)
        await store.run(schedules.tick, ())
    assert len(ticks(direct)) == len(steps.live_rows(direct)) == 1
    direct.run(schedule_control.remove, "nightly")
    add(direct, schedule())
    let_pass(direct, "nightly", HOUR)
    await store.run(schedules.tick, ())
    assert len(ticks(direct)) == len(steps.live_rows(direct)) == 1


async def test_a_tick_that_another_wrote_without_our_lock_is_his(
    store: Store, direct: DirectStore
) -> None:
    add(direct, schedule())
    let_pass(direct, "nightly", HOUR)
    his = UUID(int=7)
    wanted = row(direct)
    tick = wanted.now.replace(minute=0, second=0, microsecond=0)

    def write(transaction: Transaction) -> None:
        transaction.connection.execute(
            insert(schedule_ticks).values(
                schedule_name="nightly", tick=tick, outcome="fired", task_id=his
            )
        )

    direct.run(write)
    done = await store.run(schedules.tick, ())
    assert [list(dealt.tasks) for dealt in done.dealt] == [[]]
    assert ([one.task_id for one in ticks(direct)], steps.live_rows(direct)) == ([his], [])
    assert row(direct).due_after == tick


KILLED = """
import os, signal, sys
from celers_worker.store import make_direct_store, schedules
url, moment = sys.argv[1:]
with make_direct_store(url) as direct:
    class Doomed(direct.transaction):
        def enqueue(self, tasks, **options):
            added = super().enqueue(tasks, **options) if moment == "after" else None
            os.kill(os.getpid(), signal.SIGKILL)
            return added
    direct.transaction = Doomed
    direct.run(schedules.tick, ())
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_killed_between_a_tick_and_its_task_leaves_neither(
    direct: DirectStore, moment: str
) -> None:
    add(direct, schedule())
    let_pass(direct, "nightly", HOUR)
    url = direct.url.render_as_string(hide_password=False)
    died = subprocess.run(
        [sys.executable, "-c", KILLED, url.replace("+psycopg", "").replace("+pymysql", ""), moment],
        cwd=Path(__file__).parents[2],
        env=os.environ,
        timeout=50,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert (ticks(direct), steps.live_rows(direct)) == ([], [])
    for _ in range(2):
        direct.run(schedules.tick, ())
    assert len(ticks(direct)) == len(steps.live_rows(direct)) == 1


# --- policies ---


@pytest.mark.parametrize(
    ("misfire", "expected"),
    [("skip", {"missed": 1}), ("once", {"fired": 1}), ("all", {"fired": 100, "missed": 1})],
)
async def test_a_week_without_workers_is_dealt_with_by_the_misfire_policy(
    store: Store, direct: DirectStore, misfire: str, expected: dict[str, int]
) -> None:
    # Its last tick is long over, whenever the test runs.
    cron = f"{(row_minute(direct) + 30) % 60} * * * *"
    add(direct, schedule(cron=cron, misfire=misfire))
    let_pass(direct, "nightly", timedelta(days=7))
    await store.run(schedules.tick, ())
    assert outcomes(direct) == expected
    assert len(steps.live_rows(direct)) == expected.get("fired", 0)
    if misfire != "all":
        [tick] = ticks(direct)
        assert tick.tick - tick.since == timedelta(hours=167)


def row_minute(direct: DirectStore) -> int:
    """The minute of the database's clock."""
    add(direct, schedule("clock"))
    minute: int = row(direct, "clock").now.minute
    direct.run(schedule_control.remove, "clock")
    return minute


async def test_a_clock_that_was_set_back_does_not_silence_a_schedule(
    store: Store, direct: DirectStore
) -> None:
    add(direct, schedule())
    let_pass(direct, "nightly", -timedelta(days=3_650))
    done = await store.run(schedules.tick, ())
    assert [list(dealt.tasks) for dealt in done.dealt] == [[]]
    now = row(direct)
    assert now.now < now.next_tick <= now.now + HOUR


async def test_a_tick_is_given_up_while_the_last_task_runs(
    store: Store, direct: DirectStore
) -> None:
    add(direct, schedule(every="1s", overlap="skip"))
    let_pass(direct, "nightly", timedelta(seconds=1))
    await store.run(schedules.tick, ())
    [task] = steps.live_rows(direct)
    let_pass(direct, "nightly", timedelta(minutes=30))
    await store.run(schedules.tick, ())
    assert len(steps.live_rows(direct)) == 1
    assert outcomes(direct)["overlapped"] > 0

    running = await steps.claim_one(store)
    assert running.id == task.id
    assert await steps.settle(store, running)
    let_pass(direct, "nightly", timedelta(seconds=1))

    async def again() -> bool:
        await store.run(schedules.tick, ())
        return bool(steps.live_rows(direct))

    await eventually(again)


async def test_a_tick_waits_until_the_last_task_has_ended(
    store: Store, direct: DirectStore
) -> None:
    add(direct, schedule(overlap="queue"))
    let_pass(direct, "nightly", HOUR)
    await store.run(schedules.tick, ())
    running = await steps.claim_one(store)
    direct.run(forget_ticks)
    let_pass(direct, "nightly", HOUR)
    for _ in range(3):
        await store.run(schedules.tick, ())
    waiting = row(direct)
    assert waiting.waiting_tick is not None
    assert (len(steps.live_rows(direct)), ticks(direct)) == (1, [])
    assert (await store.run(schedules.look, ())).due_in == 0

    await steps.settle(store, running)
    await store.run(schedules.tick, ())
    [task] = steps.live_rows(direct)
    assert [(one.tick, one.task_id) for one in ticks(direct)] == [(waiting.waiting_tick, task.id)]
    assert row(direct).waiting_tick is None


def forget_ticks(transaction: Transaction) -> None:
    """So that the same tick can come again in a test that does not wait an hour."""
    transaction.connection.execute(schedule_ticks.delete())


# --- paused, changed, unreadable ---


async def test_a_paused_schedule_does_not_fire_and_goes_on_from_its_resumption(
    store: Store, direct: DirectStore
) -> None:
    add(direct, schedule(misfire="all"))
    direct.run(schedule_control.pause, "nightly", "the relay is down")
    let_pass(direct, "nightly", 9 * HOUR)
    assert (await store.run(schedules.tick, ())).dealt == []
    assert (await store.run(schedules.look, ())).due_in is None
    assert direct.run(schedule_control.resume, "nightly")
    assert not direct.run(schedule_control.resume, "nightly")
    assert (await store.run(schedules.tick, ())).dealt == []
    now = row(direct)
    assert now.now < now.next_tick <= now.now + HOUR


async def test_a_row_that_cannot_be_read_is_told_and_holds_up_no_other(
    store: Store, direct: DirectStore
) -> None:
    add(direct, schedule("broken", cron="@hourly"), schedule("sound"))

    def spoil(transaction: Transaction) -> None:
        spoilt = update(table).where(table.c.name == "broken")
        transaction.connection.execute(spoilt.values(time_zone="Mars/Phobos"))

    direct.run(spoil)
    for name in ("broken", "sound"):
        let_pass(direct, name, HOUR)
    done = await store.run(schedules.tick, ())
    assert [one.schedule for one in done.dealt] == ["sound"]
    assert "Mars/Phobos" in done.unreadable["broken"]
    assert (await store.run(schedules.tick, (), done.unreadable)).unreadable == {}


# --- declarations ---


async def test_what_is_declared_is_added_once_and_fired_by_those_who_declare_it(
    store: Store, direct: DirectStore
) -> None:
    wanted = schedule(**CODE)
    assert await store.run(schedules.declare, [wanted]) == ["nightly"]
    assert await store.run(schedules.declare, [wanted]) == []
    let_pass(direct, "nightly", HOUR)
    assert (await store.run(schedules.tick, ())).dealt == []
    assert (await store.run(schedules.look, ())).due_in is None
    assert (await store.run(schedules.look, ["nightly"])).present == 1
    [dealt] = (await store.run(schedules.tick, ["nightly", "other"])).dealt
    assert len(dealt.tasks) == 1


async def test_workers_that_declare_the_same_at_once_make_one_row(
    open_store: OpenStore, direct: DirectStore
) -> None:
    wanted = [schedule(f"s{number}", **CODE) for number in range(10)]
    stores = [await open_store() for _ in range(3)]
    await asyncio.gather(*(store.run(schedules.declare, wanted) for store in stores))
    query = select(table.c.name)
    rows = direct.run(lambda transaction: transaction.connection.execute(query).all())
    assert len(rows) == 10


async def test_a_changed_timing_counts_from_now_and_what_else_changes_keeps_its_place(
    store: Store, direct: DirectStore
) -> None:
    await store.run(schedules.declare, [schedule(**CODE)])
    let_pass(direct, "nightly", 5 * HOUR)
    before = row(direct)
    changed = schedule(arguments={"a": 1}, misfire="all", **CODE)
    assert await store.run(schedules.declare, [changed]) == ["nightly"]
    assert row(direct).due_after == before.due_after
    assert row(direct).misfire == "all"

    await store.run(schedules.declare, [schedule(every="30m", arguments={"a": 1}, **CODE)])
    now = row(direct)
    assert now.now - now.due_after < timedelta(seconds=30)
    assert now.now < now.next_tick <= now.now + timedelta(minutes=30)


async def test_a_pause_outlives_a_deployment(store: Store, direct: DirectStore) -> None:
    await store.run(schedules.declare, [schedule(**CODE)])
    direct.run(schedule_control.pause, "nightly", None)
    await store.run(schedules.declare, [schedule(every="5m", **CODE)])
    assert row(direct).paused_at is not None


async def test_a_row_of_the_database_goes_before_what_is_declared(
    store: Store, direct: DirectStore
) -> None:
    await store.run(schedules.declare, [schedule(**CODE)])
    assert not direct.run(schedule_control.add, schedule(task="other"), replace=True)
    assert await store.run(schedules.declare, [schedule(every="5m", **CODE)]) == []
    assert (row(direct).task_name, row(direct).source) == ("other", "database")
    # Once it is removed, the worker misses its own and declares it again.
    direct.run(schedule_control.remove, "nightly")
    assert (await store.run(schedules.look, ["nightly"])).present == 0
    assert await store.run(schedules.declare, [schedule(**CODE)]) == ["nightly"]


async def test_workers_say_that_they_still_declare_a_schedule(
    store: Store, direct: DirectStore
) -> None:
    await store.run(schedules.declare, [schedule(**CODE)])
    scheduling.unseen(direct, "nightly", HOUR)
    unseen = (await store.run(schedules.look, ["nightly"])).unseen
    assert unseen == pytest.approx(3_600, abs=60)
    await store.run(schedules.see, ["nightly"], ago=timedelta(minutes=5))
    unseen = (await store.run(schedules.look, ["nightly"])).unseen
    assert unseen == pytest.approx(0, abs=60)


# --- retention ---


async def test_old_ticks_are_pruned_in_batches_and_so_is_what_nobody_declares(
    store: Store, direct: DirectStore
) -> None:
    add(direct, schedule("mine", every="1s", misfire="all", misfire_after="1h"))
    await store.run(schedules.declare, [schedule("gone", **CODE), schedule("there", **CODE)])
    let_pass(direct, "mine", timedelta(seconds=40))
    await store.run(schedules.tick, ())
    assert await store.run(schedules.prune, timedelta(days=30)) == 0
    day = timedelta(days=1)
    scheduling.unseen(direct, "gone", 31 * day)
    number = len(ticks(direct))

    def age(transaction: Transaction) -> None:
        for count, tick in enumerate(transaction.connection.execute(select(schedule_ticks)).all()):
            transaction.connection.execute(
                update(schedule_ticks)
                .where(schedule_ticks.c.tick == tick.tick)
                .values(decided_at=tick.decided_at - 31 * day - timedelta(seconds=count))
            )

    direct.run(age)
    assert await store.run(schedules.prune, 30 * day, limit=15) == 15
    assert await store.run(schedules.prune, 30 * day, limit=100) == number - 15
    assert ticks(direct) == []
    assert (row(direct, "gone"), row(direct, "there").name) == (None, "there")


async def test_a_task_that_no_worker_knows_is_enqueued_all_the_same(
    store: Store, direct: DirectStore
) -> None:
    """As by any producer: it waits for a worker that has its handler."""
    add(direct, schedule(task="nobody.has.this"))
    let_pass(direct, "nightly", HOUR)
    await store.run(schedules.tick, ())
    [task] = steps.live_rows(direct)
    assert (task.task_name, task.state) == ("nobody.has.this", TaskState.PENDING)
