"""A task that is enqueued on a driver's own connection is there if the application commits."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncmy
import asyncpg
import psycopg
import pymysql
import pytest
from psycopg.rows import dict_row
from pymysql.cursors import DictCursor

from celers_worker import Celers
from celers_worker.app import DeclaredTask
from celers_worker.core.errors import ConfigurationError, UniqueKeyTaken
from celers_worker.store.direct import DirectStore
from tests.store.steps import live_row, live_rows

both_ends = pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
on_postgres = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
on_mysql = pytest.mark.parametrize("migrated_url", ["mysql"], indirect=True)


@pytest.fixture
def send(app: Celers) -> DeclaredTask[[int], None]:
    @app.task(queue="emails")
    def send(user_id: int) -> None: ...

    return send


def mysql_options(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username or "",
        "password": parts.password or "",
    }


@pytest.fixture
def raw(migrated_url: str) -> Iterator[Any]:
    """The driver's connection, with rows as the application likes them, not as we need them."""
    connection: Any
    if migrated_url.startswith("postgresql"):
        connection = psycopg.connect(migrated_url, row_factory=dict_row)
    elif migrated_url.startswith("sqlite"):
        connection = sqlite3.connect(migrated_url.removeprefix("sqlite:///"))
        connection.row_factory = lambda cursor, row: {"row": row}
    else:
        database = urlsplit(migrated_url).path.lstrip("/")
        options = mysql_options(migrated_url)
        connection = pymysql.connect(database=database, cursorclass=DictCursor, **options)
    yield connection
    connection.close()


@both_ends
def test_a_synchronous_driver_decides_about_its_tasks(
    send: DeclaredTask[[int], None], raw: Any, direct: DirectStore, commits: bool
) -> None:
    plain = send.using(raw).enqueue_sync(1)
    keyed = send.using(raw).with_(unique_key="k").enqueue_sync(2)
    again = send.using(raw).with_(unique_key="k").enqueue_sync(3)
    assert (again.id, again.existing) == (keyed.id, True)

    raw.commit() if commits else raw.rollback()

    assert len(live_rows(direct)) == 2 * commits
    if commits:
        assert live_row(direct, plain.id).queue_name == "emails"


def test_the_connection_stays_as_the_application_made_it(
    send: DeclaredTask[[int], None], raw: Any, direct: DirectStore
) -> None:
    send.using(raw).enqueue_sync(1)
    raw.rollback()
    cursor = raw.cursor()
    cursor.execute("SELECT 1 AS one")
    assert isinstance(cursor.fetchone(), dict)
    raw.rollback()
    assert live_rows(direct) == []


def test_a_refusal_leaves_the_applications_transaction_usable_and_nothing_behind(
    send: DeclaredTask[[int], None], raw: Any, direct: DirectStore
) -> None:
    first = send.using(raw).with_(unique_key="k").enqueue_sync(1)
    with pytest.raises(UniqueKeyTaken, match=str(first.id)):
        send.using(raw).with_(unique_key="k", on_conflict="raise").enqueue_sync(2)
    send.using(raw).enqueue_sync(3)
    raw.commit()
    assert len(live_rows(direct)) == 2


async def test_a_coroutine_may_use_a_synchronous_driver(
    send: DeclaredTask[[int], None], raw: Any, direct: DirectStore
) -> None:
    await send.using(raw).enqueue(1)
    raw.commit()
    assert len(live_rows(direct)) == 1


@on_postgres
async def test_psycopg_notifies_when_the_application_commits(
    send: DeclaredTask[[int], None], migrated_url: str
) -> None:
    listener = await asyncpg.connect(migrated_url)
    heard: list[str] = []
    await listener.add_listener("celers_tasks", lambda *details: heard.append(details[-1]))
    try:
        with psycopg.connect(migrated_url) as connection:
            send.using(connection).enqueue_sync(1)
            await listener.execute("SELECT 1")
            assert heard == []
        await listener.execute("SELECT 1")
        assert heard == ["emails"]
    finally:
        await listener.close()


@on_postgres
@both_ends
async def test_asynchronous_psycopg_decides_about_its_tasks(
    send: DeclaredTask[[int], None], migrated_url: str, direct: DirectStore, commits: bool
) -> None:
    connection = await psycopg.AsyncConnection.connect(migrated_url)
    try:
        await send.using(connection).with_(unique_key="k").enqueue(1)
        await send.using(connection).enqueue(2)
        await (connection.commit() if commits else connection.rollback())
    finally:
        await connection.close()
    assert len(live_rows(direct)) == 2 * commits


@pytest.fixture
async def asyncpg_pool(migrated_url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(migrated_url, min_size=1, max_size=2) as pool:
        yield pool


@on_postgres
@both_ends
async def test_asyncpg_decides_about_its_tasks(
    send: DeclaredTask[[int], None], asyncpg_pool: Any, direct: DirectStore, commits: bool
) -> None:
    async with asyncpg_pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await send.using(connection).with_(unique_key="k", metadata={"a": 1}).enqueue(1)
        await send.using(connection).enqueue(2)
        await (transaction.commit() if commits else transaction.rollback())
    assert len(live_rows(direct)) == 2 * commits


@on_mysql
@both_ends
async def test_asyncmy_decides_about_its_tasks(
    send: DeclaredTask[[int], None], migrated_url: str, direct: DirectStore, commits: bool
) -> None:
    database = urlsplit(migrated_url).path.lstrip("/")
    connection = await asyncmy.connect(db=database, **mysql_options(migrated_url))
    try:
        await send.using(connection).with_(unique_key="k").enqueue(1)
        await send.using(connection).enqueue(2)
        await (connection.commit() if commits else connection.rollback())
    finally:
        connection.close()
    assert len(live_rows(direct)) == 2 * commits


@on_postgres
async def test_a_connection_without_a_transaction_is_refused(
    send: DeclaredTask[[int], None], migrated_url: str, asyncpg_pool: Any, direct: DirectStore
) -> None:
    with (
        psycopg.connect(migrated_url, autocommit=True) as connection,
        pytest.raises(ConfigurationError, match="begin a transaction first"),
    ):
        send.using(connection).enqueue_sync(1)
    async with asyncpg_pool.acquire() as connection:
        with pytest.raises(ConfigurationError, match="begin a transaction first"):
            await send.using(connection).enqueue(1)
    assert live_rows(direct) == []


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_sqlite_in_autocommit_is_refused_until_a_transaction_begins(
    send: DeclaredTask[[int], None], migrated_url: str, direct: DirectStore
) -> None:
    connection = sqlite3.connect(migrated_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        with pytest.raises(ConfigurationError, match="begin a transaction first"):
            send.using(connection).enqueue_sync(1)
        connection.execute("BEGIN IMMEDIATE")
        send.using(connection).enqueue_sync(1)
        connection.execute("COMMIT")
    finally:
        connection.close()
    assert len(live_rows(direct)) == 1
