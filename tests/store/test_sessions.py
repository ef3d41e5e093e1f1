"""Connections are as we need them, whatever the server's own defaults, and fail as we say."""

import asyncio
from contextlib import closing
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import make_url, select, text

from celers_worker.core.errors import Refused, StoreError, Unavailable
from celers_worker.core.outcome import Settlement
from celers_worker.core.task import TaskState
from celers_worker.store import StoreOptions, inspect, make_direct_store, make_store, rights
from celers_worker.store.grants import Role
from celers_worker.store.levels import Levels
from celers_worker.store.schema import tasks
from tests import databases
from tests.store.steps import (
    DONE,
    WORKER,
    any_queue,
    claim_all,
    enqueue_and_claim,
    ids,
    new_task,
    new_tasks,
    settle,
)

SERVERS = pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
MYSQL = pytest.mark.parametrize("migrated_url", ["mysql"], indirect=True)
POSTGRES = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
SQLITE = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


@pytest.fixture(params=["async", "sync"])
def ask(request, store, direct):
    """Runs one query as our code would, and returns the row."""

    async def run(query):
        def read(transaction):
            return transaction.connection.execute(text(query)).first()

        return await store.run(read) if request.param == "async" else direct.run(read)

    return run


@MYSQL
async def test_mysql_sessions_are_read_committed_strict_and_in_utc(ask):
    names = "('tx_isolation', 'transaction_isolation')"
    _, isolation = await ask(f"SHOW VARIABLES WHERE variable_name IN {names}")
    assert isolation == "READ-COMMITTED"
    zone, mode = await ask("SELECT @@time_zone, @@sql_mode")
    assert zone == "+00:00"
    assert "STRICT_ALL_TABLES" in mode
    assert "NO_ENGINE_SUBSTITUTION" in mode


@MYSQL
async def test_mysql_sessions_speak_all_of_unicode(ask):
    assert tuple(await ask("SELECT @@character_set_client, '😀'")) == ("utf8mb4", "😀")


@MYSQL
async def test_mysql_refuses_what_does_not_fit_instead_of_cutting_it(ask):
    with pytest.raises(StoreError, match="cannot store this"):
        await ask(
            "INSERT INTO celers_tasks (id, task_name, payload) "
            f"VALUES ('{new_task().id}', '{'x' * 256}', '')"
        )


@SQLITE
async def test_sqlite_writes_ahead_and_waits_for_the_disk(ask):
    assert tuple(await ask("SELECT * FROM pragma_journal_mode")) == ("wal",)
    assert tuple(await ask("SELECT * FROM pragma_synchronous")) == (2,)


@POSTGRES
async def test_postgresql_sessions_say_whose_they_are(ask):
    assert tuple(await ask("SELECT current_setting('application_name')")) == ("celers",)


# --- nobody waits for a claim ---


def claim_in(direct, connection, count, worker=WORKER):
    """Claim in a transaction that stays open."""
    return direct.transaction(connection).claim(worker, any_queue(count), Levels())


@SERVERS
@pytest.mark.parametrize("priority", [-1, 0, 1])
async def test_a_claim_under_way_does_not_hold_up_an_enqueue(store, direct, priority):
    await store.enqueue(new_tasks(20))
    with direct.engine.connect() as connection:
        assert len(claim_in(direct, connection, 5)) == 5
        async with asyncio.timeout(5):
            await store.enqueue(new_tasks(3, priority=priority))
            await store.enqueue([new_task(unique_key="k", priority=priority)])


@SERVERS
async def test_claims_under_way_at_once_take_different_tasks(store, direct):
    added = await store.enqueue(new_tasks(20))
    with direct.engine.connect() as one, direct.engine.connect() as another:
        first = claim_in(direct, one, 5)
        second = claim_in(direct, another, 5)
        assert ids(first) + ids(second) == ids(added[:10])
        async with asyncio.timeout(5):
            third = await store.claim(WORKER, any_queue(5))
    assert ids(third) == ids(added[10:15])


@SERVERS
async def test_a_claim_that_is_rolled_back_has_handed_out_nothing(store, direct):
    added = await store.enqueue(new_tasks(5))
    with direct.engine.connect() as connection:
        claim_in(direct, connection, 5)
        connection.rollback()
    claimed = await claim_all(store)
    assert [(task.id, task.lease) for task in claimed] == [(one.id, 1) for one in added]


# --- what a person reads when the database cannot be used ---


def opener(url, synchronous):
    """What opens a store on *url* and closes it again."""
    if synchronous:

        async def open_it():
            with make_direct_store(url) as direct:
                direct.open()

    else:

        async def open_it():
            store = make_store(url)
            try:
                await store.open()
            finally:
                await store.close()

    return open_it


def changed(url, **parts):
    return make_url(url).set(**parts).render_as_string(hide_password=False)


@SERVERS
@pytest.mark.parametrize("synchronous", [False, True], ids=["async", "sync"])
async def test_a_server_that_is_not_there_is_unavailable(migrated_url, synchronous):
    with pytest.raises(Unavailable) as caught:
        await opener(changed(migrated_url, port=1), synchronous)()
    assert "secret" not in str(caught.value)


@SERVERS
@pytest.mark.parametrize("synchronous", [False, True], ids=["async", "sync"])
async def test_a_database_that_does_not_exist_is_refused(migrated_url, synchronous):
    with pytest.raises(Refused, match="celers_nowhere") as caught:
        await opener(changed(migrated_url, database="celers_nowhere"), synchronous)()
    assert "secret" not in str(caught.value)


@MYSQL
@pytest.mark.parametrize("synchronous", [False, True], ids=["async", "sync"])
async def test_a_wrong_password_is_refused_and_not_repeated(migrated_url, synchronous):
    with pytest.raises(Refused, match="Access denied") as caught:
        await opener(changed(migrated_url, password="not-the-one"), synchronous)()
    assert "not-the-one" not in str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "notes.db").write_text("Dear diary, " * 100)
    with pytest.raises(Refused, match="not a database"):
        await opener(f"sqlite:///{tmp_path}/notes.db", synchronous=False)()


async def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(Refused, match="unable to open"):
        await opener(f"sqlite:///{tmp_path}/nowhere/celers.db", synchronous=False)()


# --- connections that break ---


def end_sessions(url, which="TRUE"):
    """Let the server end our other connections."""
    if url.startswith("postgresql"):
        databases.execute(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
            f"'celers' AND datname = current_database() AND {which}",
        )
        return
    with closing(databases.connect(url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(
            "SELECT id FROM information_schema.processlist"
            " WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        for (session,) in cursor.fetchall():
            cursor.execute(f"KILL {session}")


@SERVERS
async def test_an_enqueue_on_a_broken_connection_is_repeated(store, migrated_url):
    await store.enqueue(new_tasks(1))
    end_sessions(migrated_url)
    added = await store.enqueue(new_tasks(2))
    assert len(added) == 2
    assert len(await claim_all(store)) == 3


@SERVERS
async def test_a_claim_on_a_broken_connection_is_unavailable_and_the_next_one_works(
    store, migrated_url
):
    await store.enqueue(new_tasks(3))
    await store.claim(WORKER, any_queue(1))
    end_sessions(migrated_url)
    with pytest.raises(Unavailable):
        await store.claim(WORKER, any_queue(1))
    assert len(await claim_all(store)) == 2


@SERVERS
def test_a_synchronous_enqueue_on_a_broken_connection_is_repeated(direct, migrated_url):
    direct.enqueue(new_tasks(1))
    end_sessions(migrated_url)
    assert len(direct.enqueue(new_tasks(2))) == 2


@POSTGRES
async def test_a_broken_connection_that_listens_is_unavailable(store, migrated_url):
    wakeups = store.wakeups()
    assert (await anext(wakeups)).control
    end_sessions(migrated_url)
    databases.execute(
        migrated_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE query LIKE 'LISTEN%' AND datname = current_database()",
    )
    with pytest.raises(Unavailable, match="ended the connection that listens"):
        assert not [wakeup async for wakeup in wakeups]


# --- deadlines and cancellation ---


async def test_a_call_that_gets_no_answer_ends_at_its_deadline(open_store, direct):
    store = await open_store(StoreOptions(call_timeout=timedelta(seconds=0.2)))
    task = await enqueue_and_claim(store)
    with direct.engine.connect() as connection:
        # Whoever settles waits for this lock: on the row, or on SQLite on the file.
        connection.execute(select(tasks).where(tasks.c.id == task.id).with_for_update())
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await settle(store, task)
        connection.rollback()
    # Whether it was written nobody could say; said again, it is.
    await settle(store, task)
    assert (await store.run(inspect.task, task.id)).state is TaskState.COMPLETED


@SERVERS
async def test_a_settle_waits_for_nobody_elses_task(open_store, direct):
    # In a small table MariaDB would rather read all rows than look for each; then it waits.
    store = await open_store(StoreOptions(call_timeout=timedelta(seconds=2)))
    await store.enqueue(new_tasks(10))
    *ours, other = await claim_all(store)
    with direct.engine.connect() as connection:
        connection.execute(select(tasks).where(tasks.c.id == other.id).with_for_update())
        settled = await store.settle(WORKER, [Settlement(task, DONE) for task in ours])
        connection.rollback()
    assert settled == set(ids(ours))


async def test_a_cancelled_call_leaves_a_store_that_works(store):
    await store.enqueue(new_tasks(50))
    for count in range(20):
        call = asyncio.ensure_future(store.claim(WORKER, any_queue(1)))
        for _ in range(count):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
    await store.enqueue(new_tasks(1))
    claimed = await claim_all(store)
    # What a cancelled claim took is its worker's, who gives it back: see test_leases.
    assert 51 - 20 <= len(claimed) <= 51
    assert len({*ids(claimed)}) == len(claimed)


async def test_a_store_can_be_closed_twice_and_opened_again(store):
    await store.close()
    await store.close()
    await store.open()
    await store.enqueue(new_tasks(1))
    assert len(await claim_all(store)) == 1


async def test_the_smallest_pool_serves_every_kind_of_call_at_once(open_store):
    store = await open_store(StoreOptions(pool_size=1, call_timeout=timedelta(seconds=5)))
    for _ in range(3):
        await store.enqueue([new_task(), new_task(unique_key=str(uuid4()))])
        claimed, *_ = await asyncio.gather(
            store.claim(WORKER, any_queue(10)),
            store.enqueue(new_tasks(1)),
            store.run(inspect.task, new_task().id),
            store.upkeep_due(),
        )
        await asyncio.gather(*(settle(store, task) for task in claimed))


@POSTGRES
async def test_a_worker_learns_what_it_may_do_behind_somebodys_lock(store, migrated_url):
    with closing(databases.connect(migrated_url)) as another, another.transaction():
        another.execute("LOCK TABLE celers_tasks IN EXCLUSIVE MODE")
        await store.run(rights.check, Role.WORKER)
