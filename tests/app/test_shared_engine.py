"""An application that has an engine already shares it: ``Celers(engine=…, sync_engine=…)``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from celers_worker import Celers
from celers_worker.core.errors import ConfigurationError, SchemaError
from celers_worker.core.task import TaskState
from celers_worker.testing import drain

SYNCHRONOUS = {"sqlite": "pysqlite", "postgresql": "psycopg", "mysql": "pymysql"}
ASYNCHRONOUS = {"postgresql": "asyncpg", "mysql": "asyncmy"}


@pytest.fixture
def sync_engine(migrated_url: str) -> Iterator[Engine]:
    """The application's own, with one connection: whoever keeps it stops the application."""
    url = make_url(migrated_url)
    driver = f"{url.drivername}+{SYNCHRONOUS[url.drivername]}"
    engine = create_engine(url.set(drivername=driver), pool_size=1, max_overflow=0, pool_timeout=5)
    yield engine
    engine.dispose()


@pytest.fixture
async def engine(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    url = make_url(migrated_url)
    driver = f"{url.drivername}+{ASYNCHRONOUS[url.drivername]}"
    engine = create_async_engine(
        url.set(drivername=driver), pool_size=1, max_overflow=0, pool_timeout=5
    )
    yield engine
    await engine.dispose()


def an_app(**engines: object) -> Celers:
    app = Celers(**engines)

    @app.task()
    def double(number: int) -> int:
        return number * 2

    return app


# Without SQLite, for which SQLAlchemy has no asynchronous driver among our requirements.
@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_coroutines_share_the_engine_of_the_application(engine: AsyncEngine) -> None:
    app = an_app(engine=engine)

    task = await app.enqueue("double", number=21)
    assert await task.state() is TaskState.PENDING
    async with engine.connect() as connection:  # the only one there is: nobody else kept it
        assert (await connection.execute(text("SELECT count(*) FROM celers_tasks"))).scalar() == 1
    assert engine.pool.checkedout() == 0
    await app.close()

    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar() == 1


def test_callers_without_a_loop_share_the_engine_of_the_application(sync_engine: Engine) -> None:
    app = an_app(sync_engine=sync_engine)

    task = app.enqueue_sync("double", number=21)
    assert task.state_sync() is TaskState.PENDING
    with sync_engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM celers_tasks")).scalar() == 1
    assert task.cancel_sync()
    assert sync_engine.pool.checkedout() == 0
    app.close_sync()

    with sync_engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


async def test_a_worker_of_the_application_finds_what_it_enqueued(sync_engine: Engine) -> None:
    app = an_app(sync_engine=sync_engine)
    task = app.enqueue_sync("double", number=21)
    app.client.config = app.client.with_own_url(app.client.config)

    assert (await drain(app)).completed == ["double"]
    assert task.result_sync() == 42
    assert sync_engine.pool.checkedout() == 0
    await app.close()


def test_a_transaction_on_a_shared_engine_leaves_the_engine_s_own_isolation(
    sync_engine: Engine,
) -> None:
    with sync_engine.connect() as connection:
        before = connection.get_isolation_level()
    app = an_app(sync_engine=sync_engine)
    app.enqueue_sync("double", number=1)

    with sync_engine.connect() as connection:
        assert connection.get_isolation_level() == before
    app.close_sync()


def test_a_database_without_our_tables_says_what_to_run(database_url: str) -> None:
    url = make_url(database_url)
    driver = f"{url.drivername}+{SYNCHRONOUS[url.drivername]}"
    engine = create_engine(url.set(drivername=driver))
    with pytest.raises(SchemaError, match="Run: celers migrate"):
        an_app(sync_engine=engine).enqueue_sync("double", number=1)
    engine.dispose()


def test_what_is_no_engine_is_refused_with_where_it_belongs(sync_engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match=r"engine is a Engine.* goes to sync_engine="):
        Celers(engine=sync_engine)
    with pytest.raises(ConfigurationError, match="sync_engine is a str: pass what"):
        Celers(sync_engine="sqlite:///celers.db")
    with pytest.raises(ConfigurationError, match="the engine has a URL"):
        Celers("sqlite:///celers.db", sync_engine=sync_engine)


def test_two_engines_for_two_databases_are_refused(sync_engine: Engine) -> None:
    other = create_async_engine("postgresql+asyncpg://elsewhere/other")
    with pytest.raises(ConfigurationError, match="lead to two databases"):
        Celers(engine=other, sync_engine=sync_engine)
