"""PostgreSQL behind a real PgBouncer in transaction mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from celers_worker.core.errors import Refused, StoreError
from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import TaskState
from celers_worker.store import (
    DirectStore,
    Store,
    StoreOptions,
    inspect,
    make_direct_store,
    make_store,
    migrate,
    pruning,
)
from celers_worker.store.checkup import connections
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Severity
from celers_worker.store.inspect import TaskFilter
from tests import databases
from tests.poolers import PgBouncer
from tests.servers import Server
from tests.store.steps import any_queue, claim_all, new_task, new_tasks
from tests.waiting import eventually

POOLED = StoreOptions(pooled=True)
pytestmark = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)


@pytest.fixture(scope="module")
def pooler(postgres_server: Server) -> Iterator[PgBouncer]:
    postgres_server.start()
    with PgBouncer(postgres_server) as started:
        yield started


@pytest.fixture
def url(migrated_url: str, pooler: PgBouncer) -> str:
    pooler.start()
    return pooler.url_of(migrated_url)


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[Store]]:
    """More clients than the pooler has connections of the server."""
    opened = [make_store(url, POOLED) for _ in range(6)]
    await asyncio.gather(*(store.open() for store in opened))
    yield opened
    for store in opened:
        await store.close()


async def test_many_clients_share_few_connections_and_each_task_runs_once(
    stores: list[Store], url: str
) -> None:
    async def produce(store: Store) -> None:
        for _ in range(10):
            await store.enqueue([new_task()])
            await store.enqueue(new_tasks(20, metadata={"a": 1}))

    await asyncio.gather(*map(produce, stores))
    claimed = await asyncio.gather(
        *(claim_all(store, f"worker-{number}") for number, store in enumerate(stores))
    )
    ids = [task.id for tasks in claimed for task in tasks]
    assert len(ids) == len(set(ids)) == 6 * 210
    settled = await asyncio.gather(
        *(
            store.settle(f"worker-{number}", [Settlement(task, Completed(b"1")) for task in tasks])
            for number, (store, tasks) in enumerate(zip(stores, claimed, strict=True))
            if tasks
        )
    )
    assert sum(map(len, settled)) == len(ids)
    with make_direct_store(url, POOLED) as direct:
        direct.open()
        wanted = TaskFilter(states=[TaskState.COMPLETED])
        assert direct.run(inspect.count_tasks, wanted) == len(ids)


async def test_nothing_stays_behind_in_the_connections_of_the_server(
    stores: list[Store], url: str
) -> None:
    await asyncio.gather(*(store.enqueue(new_tasks(3)) for store in stores))
    await asyncio.gather(*(store.claim("worker-1", any_queue(5)) for store in stores))
    with make_direct_store(url, POOLED) as direct:
        direct.run(
            pruning.prune,
            dict.fromkeys(("completed", "cancelled", "expired", "dead", "results"), timedelta(1)),
        )
    for _ in range(10):  # whichever of them answers
        found = databases.execute(
            url,
            "SELECT current_setting('enable_seqscan'), current_setting('statement_timeout'), "
            "(SELECT count(*) FROM pg_prepared_statements), "
            "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), "
            "(SELECT count(*) FROM pg_listening_channels())",
        )
        assert found == [("on", "0", 0, 0, 0)]


async def test_the_limits_of_a_call_hold_in_its_transaction(url: str) -> None:
    options = StoreOptions(pooled=True, call_timeout=timedelta(seconds=1))
    with make_direct_store(url, options) as direct:
        shown = direct.run(
            lambda transaction: transaction.connection.execute(
                text("SELECT current_setting('statement_timeout')")
            ).scalar()
        )
    assert shown == "1s"


async def test_who_waits_for_tasks_looks_from_time_to_time(stores: list[Store]) -> None:
    hints = stores[0].wakeups()
    await anext(hints)
    await anext(hints)
    await hints.aclose()
    ended = stores[0].ended_hints()
    await ended.listen()
    ended.close()


async def test_a_refused_statement_leaves_the_store_usable(stores: list[Store]) -> None:
    [store, *_] = stores
    with pytest.raises(StoreError):
        await store.enqueue([new_task(name="x" * 300)])
    added = await store.enqueue([new_task()])
    assert [task.id for task in await claim_all(store)] == [added[0].id]


async def test_a_pooler_that_restarts_is_an_outage_like_any(
    stores: list[Store], pooler: PgBouncer
) -> None:
    [store, *_] = stores
    added = await store.enqueue(new_tasks(3))
    pooler.kill()
    with pytest.raises(StoreError):
        await store.claim("worker-1", any_queue(5))
    pooler.start()

    async def claimed() -> list[object]:
        try:
            return list(await claim_all(store))
        except StoreError:
            return []

    found = await eventually(claimed)
    assert {task.id for task in found} == {one.id for one in added}  # type: ignore[attr-defined]


def test_migrations_run_one_at_a_time_and_leave_no_lock(
    migrated_url: str, postgres_server: Server, pooler: PgBouncer
) -> None:
    pooler.start()
    plain = postgres_server.create_database("celers_behind_pooler")
    try:
        behind = pooler.url_of(plain)
        with make_direct_store(behind, POOLED) as direct:
            migrate.upgrade(direct)
            direct.open()
            migrate.upgrade(direct)
        assert databases.execute(
            plain, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        ) == [(0,)]
    finally:
        pooler.stop()
        postgres_server.drop_database("celers_behind_pooler")


async def test_one_that_refuses_our_settings_is_named_and_the_setting_too(url: str) -> None:
    store = make_store(url)
    with pytest.raises(Refused, match=r'unsupported startup parameter.*pooler = "transaction"'):
        await store.open()
    await store.close()
    with (
        make_direct_store(url) as direct,
        pytest.raises(Refused, match=r'unsupported startup parameter.*pooler = "transaction"'),
    ):
        direct.open()


async def test_one_that_swallows_our_settings_is_noticed(
    migrated_url: str, postgres_server: Server
) -> None:
    with PgBouncer(postgres_server, swallows=True) as pooler:
        store = make_store(pooler.url_of(migrated_url))
        told = ""
        try:
            await store.open()
            told = str(store.sign_of_pooler)
        except Refused as error:  # its connections decide which comes first
            told = str(error)
        finally:
            await store.close()
    assert "statement_timeout is 0 ms" in told or 'pooler = "transaction"' in told


def test_the_doctor_tells_of_one_that_nobody_has_named(
    migrated_url: str, postgres_server: Server
) -> None:
    with (
        PgBouncer(postgres_server, swallows=True) as pooler,
        make_direct_store(pooler.url_of(migrated_url)) as direct,
    ):
        thresholds = Thresholds(asked=direct.options)
        found = direct.run(lambda transaction: [*connections.examine(transaction, thresholds)])
    [finding] = [one for one in found if "pooler" in one.what]
    assert finding.severity is Severity.WARNING
    assert 'pooler = "transaction"' in finding.mend


def test_the_doctor_sees_no_pooler_where_there_is_none(direct: DirectStore) -> None:
    thresholds = Thresholds(asked=direct.options)
    assert not direct.run(lambda transaction: [*connections.examine(transaction, thresholds)])


async def test_without_a_pooler_there_is_no_sign_of_one(
    migrated_url: str, direct: DirectStore
) -> None:
    for options in (StoreOptions(), POOLED):
        store = make_store(migrated_url, options)
        await store.open()
        assert store.sign_of_pooler is None
        assert len(await store.enqueue(new_tasks(2))) == 2
        await store.close()
