"""What waits for tomorrow and what is done must not cost a claim, a sweep or a settle anything."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest
from sqlalchemy import event

from celers_worker.core.outcome import Cancelled, Completed, Release, Settlement
from celers_worker.core.task import Demand
from celers_worker.store import StoreOptions, make_direct_store, make_store, migrate
from tests import crowd
from tests.store.steps import (
    BROKEN,
    DONE,
    GONE_WRONG,
    WORKER,
    any_queue,
    claim_all,
    execute,
    new_tasks,
)
from tests.store.watching import Touched, Watch, watch_of

AROUND = 200_000
BATCH = 100
#: Pages that a look may touch more: a tree grows a level, and entries wait for a vacuum. To read
#: what is around would be thousands.
SOME = 50
#: After so many executions PostgreSQL may keep one plan, made for the table as it was then.
WARM_UP = 7

#: What a claim may be asked for, and what becomes of its tasks.
LIVES = {
    "any queue, completed": (any_queue(BATCH), [DONE]),
    "one queue, with results": (Demand(BATCH, {"default": BATCH}), [Completed(b"1")]),
    "a limited handler": (any_queue(BATCH, handlers={"send": BATCH}), [DONE]),
    "an excluded handler, every outcome": (
        any_queue(BATCH, handlers={"other": 0}),
        [DONE, BROKEN, Release(timedelta(1)), Cancelled("stopped"), GONE_WRONG],
    ),
}


@pytest.fixture
async def watch(database_url: str) -> AsyncIterator[Watch]:
    """A watch on a store that has a fresh database to itself."""
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
    store = make_store(database_url, StoreOptions(pool_size=1 if "mysql" in database_url else 5))
    with watch_of(store) as watch:
        await store.open()
        yield watch
        await store.close()


async def live(watch: Watch) -> dict[str, Touched]:
    """Let tasks live in each of the ways; what each step touched."""
    store, touched = watch.store, {}
    for name, (demand, outcomes) in LIVES.items():
        await store.enqueue(new_tasks(2 * BATCH))
        store.levels.forget()
        for step in ("sweep and claim", "claim"):
            async with watch.touched() as touched[f"{step}: {name}"]:
                tasks = await store.claim(WORKER, demand)
            assert len(tasks) == BATCH
        settlements = [
            Settlement(task, outcomes[number % len(outcomes)]) for number, task in enumerate(tasks)
        ]
        async with watch.touched() as touched[f"settle: {name}"]:
            assert len(await store.settle(WORKER, settlements)) == BATCH
        await claim_all(store)
    store.levels.forget()
    async with watch.touched() as touched["sweep: nothing is due"]:
        assert await store.claim(WORKER, any_queue(BATCH)) == []
    async with aclosing(store.wakeups()) as wakeups:
        await anext(wakeups)
        await store.enqueue(new_tasks(BATCH))
        await anext(wakeups)
        async with watch.touched() as touched["claim: what was announced"]:
            assert len(await store.claim(WORKER, any_queue(BATCH))) == BATCH
    return touched


def analyze(url: str) -> None:
    """Let the server look at the tables, which it may or may not do by itself meanwhile."""
    all_of_them = "TABLE celers_tasks, celers_task_archive" if "mysql" in url else ""
    with make_direct_store(url) as direct:
        execute(direct, f"ANALYZE {all_of_them}")


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
async def test_a_claim_on_mysql_begins_at_its_mark_and_not_at_the_dead_entries_before(watch):
    store, sent = watch.store, []

    def note(connection, cursor, statement, parameters, context, many):
        if "FOR UPDATE SKIP LOCKED" in statement:
            sent.append((statement, parameters))

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    await store.enqueue(new_tasks(50 * BATCH))
    for _ in range(3):
        await store.claim(WORKER, any_queue(BATCH))
    [plan, *_] = await store.run(
        lambda transaction: transaction.connection.exec_driver_sql(
            f"EXPLAIN {sent[-1][0]}", sent[-1][1]
        ).all()
    )
    assert plan.type == "range"


async def test_what_waits_and_what_is_done_costs_no_claim_sweep_or_settle_anything(
    watch: Watch, database_url: str
) -> None:
    for _ in range(WARM_UP if "postgres" in database_url else 1):
        bare = await live(watch)
    crowd.schedule_for_tomorrow(database_url, AROUND)
    crowd.fill_archive(database_url, AROUND)
    for known in ("nothing", "the tables"):
        if known == "the tables":
            analyze(database_url)
        for step, touched in (await live(watch)).items():
            assert touched.faults == [], f"{step}, with statistics of {known}"
            assert touched.sorted <= BATCH, f"{step}, {known}"
            assert touched.pages <= 2 * bare[step].pages + SOME, f"{step}, {known}"
            assert touched.rows <= watch.limit(BATCH, bare[step]), f"{step}, {known}"
