"""Retention: what is past its time goes, in batches, and nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from celers_worker.core.outcome import Cancelled, Completed, Expired
from celers_worker.core.task import TaskState
from celers_worker.store import inspect, maintenance, migrate, pruning, sql, survey
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.schema import archive, attempts, dead_letters, results, workers
from tests import databases
from tests.store.steps import (
    BROKEN,
    DONE,
    GONE_WRONG,
    any_queue,
    claim_one,
    enqueue_and_claim,
    lose_worker,
    new_tasks,
    settle,
    start_worker,
)

DAY = timedelta(days=1)
RETENTION = {"completed": DAY, "cancelled": DAY, "expired": DAY, "dead": DAY, "results": DAY}
ENDINGS = {
    "completed": (Completed(b"1"), archive, archive.c.completed_at),
    "cancelled": (Cancelled("stopped"), archive, archive.c.completed_at),
    "expired": (Expired(), archive, archive.c.completed_at),
    "dead": (GONE_WRONG, dead_letters, dead_letters.c.failed_at),
    "results": (Completed(b"1"), results, results.c.created_at),
}


async def prune(store, *, limit=1_000, **changes):
    return await store.run(pruning.prune, RETENTION | changes, limit=limit)


async def age(store, table, instant, by=2 * DAY):
    """Make every row of *table* older."""

    def shift(transaction):
        transaction.connection.execute(
            update(table).values({instant: sql.later(-by.total_seconds())})
        )

    await store.run(shift)


async def count(store, table):
    return await store.run(
        lambda transaction: transaction.connection.execute(
            select(func.count()).select_from(table)
        ).scalar_one()
    )


@pytest.mark.parametrize("kind", ENDINGS)
async def test_what_is_past_its_time_goes(store, kind):
    outcome, table, instant = ENDINGS[kind]
    await settle(store, await enqueue_and_claim(store), outcome)
    await age(store, table, instant)
    assert (await prune(store))[kind] == 1
    assert await count(store, table) == 0


@pytest.mark.parametrize("kind", ENDINGS)
async def test_what_is_within_its_time_stays(store, kind):
    outcome, table, instant = ENDINGS[kind]
    await settle(store, await enqueue_and_claim(store), outcome)
    await age(store, table, instant, by=DAY - timedelta(minutes=1))
    assert not any((await prune(store)).values())
    assert await count(store, table) == 1


async def test_every_state_has_a_time_of_its_own(store):
    for outcome in (DONE, Cancelled("stopped"), Expired()):
        await settle(store, await enqueue_and_claim(store), outcome)
    await age(store, archive, archive.c.completed_at)
    counts = await prune(store, completed=timedelta(hours=1), cancelled=7 * DAY)
    assert (counts["completed"], counts["cancelled"], counts["expired"]) == (1, 0, 1)
    [kept] = await store.run(inspect.list_tasks, TaskFilter())
    assert kept.state is TaskState.CANCELLED


@pytest.mark.parametrize("kind", ["completed", "dead", "results"])
async def test_a_prune_takes_no_more_than_a_batch(store, kind):
    outcome, table, instant = ENDINGS[kind]
    await store.enqueue(new_tasks(5))
    for task in await store.claim("w", any_queue(5)):
        await settle(store, task, outcome)
    await age(store, table, instant)
    assert [(await prune(store, limit=2))[kind] for _ in range(4)] == [2, 2, 1, 0]


async def test_failed_attempts_stay_as_long_as_any_task_does(store):
    task = await enqueue_and_claim(store)
    await settle(store, task, BROKEN)
    await settle(store, await claim_one(store))
    await age(store, attempts, attempts.c.failed_at, by=8 * DAY)
    assert (await prune(store, dead=9 * DAY))["attempts"] == 0
    assert (await prune(store, dead=7 * DAY))["attempts"] == 1


async def test_live_tasks_are_never_pruned(store, direct):
    await store.enqueue(new_tasks(2))
    await claim_all_as_old(store)
    assert not any((await prune(store)).values())
    assert await store.run(inspect.count_tasks, TaskFilter()) == 2


async def claim_all_as_old(store):
    await store.claim("w", any_queue(1))


async def test_a_lost_worker_is_forgotten_after_an_hour(store):
    await start_worker(store, "recent")
    await start_worker(store, "old")
    await start_worker(store, "alive")
    await lose_worker(store, "recent")
    await lose_worker(store, "old")
    await store.run(maintenance.reap, max_crashes=3)

    def shift(transaction):
        transaction.connection.execute(
            update(workers).where(workers.c.id == "old").values(expires_at=sql.later(-3_700))
        )

    await store.run(shift)
    await prune(store)
    views = await store.run(survey.list_workers)
    assert {view.id for view in views} == {"recent", "alive"}


# --- partitions of the archive ---


def partitions(url):
    rows = databases.execute(
        url,
        "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
        " WHERE inhparent = 'celers_task_archive'::regclass ORDER BY 1",
    )
    return [name.removeprefix("celers_task_archive_") for (name,) in rows]


def today(url, offset=0):
    [(day,)] = databases.execute(
        url, f"SELECT to_char((now() AT TIME ZONE 'UTC')::date + {offset}, 'YYYYMMDD')"
    )
    return day


@pytest.fixture
def partitioned(database_url):
    """A PostgreSQL database of its own, for its tables change."""
    from celers_worker.store import make_direct_store

    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
        yield direct


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_the_archive_has_partitions_for_the_coming_days(partitioned, database_url):
    partitioned.run(pruning.keep_partitions, RETENTION)
    partitioned.run(pruning.keep_partitions, RETENTION)
    days = [today(database_url, offset) for offset in range(4)]
    assert partitions(database_url) == [*days, "default"]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_workers_that_start_together_make_the_partitions_once(partitioned, database_url):
    together = threading.Barrier(4)

    def keep(_):
        together.wait()
        partitioned.run(pruning.keep_partitions, RETENTION)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(keep, range(4)))  # raises what a call raised
    days = [today(database_url, offset) for offset in range(4)]
    assert partitions(database_url) == [*days, "default"]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_partition_past_its_time_is_dropped_whole(partitioned, database_url):
    for offset in (-3, -2, -1):
        day = today(database_url, offset)
        databases.execute(
            database_url,
            f"CREATE TABLE celers_task_archive_{day} PARTITION OF celers_task_archive FOR VALUES "
            f"FROM ('{day} 00:00:00+00') TO ('{today(database_url, offset + 1)} 00:00:00+00')",
        )
    partitioned.run(pruning.keep_partitions, RETENTION)
    days = [today(database_url, offset) for offset in range(-2, 4)]
    assert partitions(database_url) == [*days, "default"]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_day_whose_tasks_went_to_the_default_partition_does_no_harm(partitioned, database_url):
    tomorrow = today(database_url, 1)
    databases.execute(
        database_url,
        "INSERT INTO celers_task_archive (id, task_name, payload, completed_at) "
        f"VALUES (gen_random_uuid(), 'x', '', '{tomorrow} 12:00:00+00')",
    )
    partitioned.run(pruning.keep_partitions, RETENTION)
    assert tomorrow not in partitions(database_url)
    assert today(database_url, 2) in partitions(database_url)


@pytest.mark.parametrize("migrated_url", ["sqlite", "mysql"], indirect=True)
async def test_where_there_are_no_partitions_keeping_them_is_nothing(store):
    await settle(store, await enqueue_and_claim(store))
    await store.run(pruning.keep_partitions, RETENTION)
    assert await count(store, archive) == 1
