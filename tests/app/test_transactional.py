"""A task that is enqueued in the application's own transaction is there if that commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    create_async_engine,
)
from sqlalchemy.orm import Session

from celers_worker import Celers
from celers_worker.app import DeclaredTask
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.task import TaskState
from celers_worker.store.direct import DirectStore
from tests.store.steps import live_row, live_rows

on_servers = pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
"""SQLAlchemy's asynchronous engine for SQLite needs a driver that Celers does not."""

both_ends = pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    """The application's own, with nothing of ours: another clock, another isolation."""
    drivers = {"postgresql": "psycopg", "mysql": "pymysql", "sqlite": "pysqlite"}
    url = make_url(migrated_url)
    engine = create_engine(url.set(drivername=f"{url.drivername}+{drivers[url.drivername]}"))
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    drivers = {"postgresql": "asyncpg", "mysql": "asyncmy"}
    url = make_url(migrated_url)
    engine = create_async_engine(url.set(drivername=f"{url.drivername}+{drivers[url.drivername]}"))
    yield engine
    await engine.dispose()


@pytest.fixture
def send(app: Celers) -> DeclaredTask[[int], None]:
    @app.task(queue="emails")
    def send(user_id: int) -> None: ...

    return send


def number_of_tasks(direct: DirectStore) -> int:
    return len(live_rows(direct))


@both_ends
def test_a_session_decides_about_its_tasks(
    send: DeclaredTask[[int], None], engine: Engine, direct: DirectStore, commits: bool
) -> None:
    with Session(engine) as session:
        task = send.using(session).enqueue_sync(1)
        session.commit() if commits else session.rollback()
    assert number_of_tasks(direct) == commits
    if commits:
        assert live_row(direct, task.id).queue_name == "emails"
        assert task.state_sync() is TaskState.PENDING


@both_ends
def test_a_connection_decides_about_its_tasks(
    send: DeclaredTask[[int], None], engine: Engine, direct: DirectStore, commits: bool
) -> None:
    with engine.connect() as connection:
        for user_id in range(3):
            send.using(connection).enqueue_sync(user_id)
        connection.commit() if commits else connection.rollback()
    assert number_of_tasks(direct) == 3 * commits


@both_ends
async def test_a_synchronous_session_serves_a_coroutine_too(
    send: DeclaredTask[[int], None], engine: Engine, direct: DirectStore, commits: bool
) -> None:
    with Session(engine) as session:
        await send.using(session).enqueue(1)
        session.commit() if commits else session.rollback()
    assert number_of_tasks(direct) == commits


@on_servers
@both_ends
async def test_an_asynchronous_session_decides_about_its_tasks(
    send: DeclaredTask[[int], None],
    async_engine: AsyncEngine,
    direct: DirectStore,
    commits: bool,
) -> None:
    async with AsyncSession(async_engine) as session:
        await send.using(session).enqueue(1)
        await (session.commit() if commits else session.rollback())
    assert number_of_tasks(direct) == commits


@on_servers
@both_ends
async def test_an_asynchronous_connection_decides_about_its_tasks(
    send: DeclaredTask[[int], None],
    async_engine: AsyncEngine,
    direct: DirectStore,
    commits: bool,
) -> None:
    connection: AsyncConnection
    async with async_engine.connect() as connection:
        await send.using(connection).enqueue(1)
        await (connection.commit() if commits else connection.rollback())
    assert number_of_tasks(direct) == commits


def test_tasks_and_the_applications_rows_are_one_commit(
    send: DeclaredTask[[int], None], engine: Engine, direct: DirectStore
) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE celers_users (id integer PRIMARY KEY)"))

    def add_user(connection: Connection, *, fails: bool) -> None:
        connection.execute(text("INSERT INTO celers_users VALUES (1)"))
        send.using(connection).enqueue_sync(1)
        if fails:
            raise RuntimeError("after both")

    try:
        with pytest.raises(RuntimeError), engine.begin() as connection:
            add_user(connection, fails=True)
        assert number_of_tasks(direct) == 0
        with engine.begin() as connection:
            add_user(connection, fails=False)
        assert number_of_tasks(direct) == 1
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE celers_users"))


@on_servers  # who looks at a file that is being written to waits
def test_nobody_sees_the_task_before_the_commit(
    send: DeclaredTask[[int], None], engine: Engine
) -> None:
    with engine.connect() as connection:
        task = send.using(connection).enqueue_sync(1)
        with pytest.raises(LookupError):
            task.state_sync()
        connection.commit()
    assert task.state_sync() is TaskState.PENDING


def test_a_transaction_of_another_time_zone_dates_its_tasks_right(
    send: DeclaredTask[[int], None], engine: Engine, direct: DirectStore
) -> None:
    zones = {"postgresql": "SET TIME ZONE '+05:00'", "mysql": "SET time_zone = '+05:00'"}
    at = datetime(2040, 1, 1, 12, tzinfo=UTC)
    with engine.connect() as connection:
        if engine.dialect.name in zones:
            connection.execute(text(zones[engine.dialect.name]))
        now = send.using(connection).enqueue_sync(1)
        later = send.using(connection).with_(at=at).enqueue_sync(2)
        connection.commit()
    ours = send.enqueue_sync(3)
    difference = live_row(direct, ours.id).scheduled_at - live_row(direct, now.id).scheduled_at
    assert abs(difference) < timedelta(minutes=1)
    assert live_row(direct, later.id).scheduled_at == at


def test_a_key_that_a_live_task_has_is_found_in_the_applications_transaction(
    send: DeclaredTask[[int], None], engine: Engine, direct: DirectStore
) -> None:
    first = send.with_(unique_key="one").enqueue_sync(1)
    with engine.begin() as connection:
        again = send.using(connection).with_(unique_key="one").enqueue_sync(2)
        other = send.with_(unique_key="two").using(connection).enqueue_sync(3)
    assert (again.existing, again.id) == (True, first.id)
    assert not other.existing
    assert number_of_tasks(direct) == 2


def test_a_bad_task_leaves_the_applications_transaction_as_it_was(
    send: DeclaredTask[[int], None], engine: Engine, direct: DirectStore
) -> None:
    with engine.begin() as connection:
        send.using(connection).enqueue_sync(1)
        with pytest.raises(PayloadError):
            send.using(connection).enqueue_sync(float("nan"))  # type: ignore[arg-type]  # that is the test
        send.using(connection).enqueue_sync(2)
    assert number_of_tasks(direct) == 2


@pytest.mark.parametrize("session", ["a url", 7, object()], ids=["text", "number", "object"])
async def test_what_is_no_session_is_refused(
    send: DeclaredTask[[int], None], direct: DirectStore, session: object
) -> None:
    with pytest.raises(ConfigurationError, match="pass a SQLAlchemy Session"):
        await send.using(session).enqueue(1)
    with pytest.raises(ConfigurationError, match="pass a SQLAlchemy Session"):
        send.using(session).enqueue_sync(1)
    assert number_of_tasks(direct) == 0
