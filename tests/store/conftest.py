"""What the conformance tests start from: a migrated database and stores on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from celers_worker.store import Store, StoreOptions, make_direct_store, make_store, migrate
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import metadata
from tests import databases
from tests.conftest import DATABASES, OTHER, SERVER_FIXTURES
from tests.servers import Server

#: Another database to run these tests on, which another package brings: an empty one of its own,
#: whose rows are deleted before each test. docs/backends.md tells how to use it.
OTHER_URL = os.environ.get("CELERS_TEST_DATABASE_URL")

OpenStore: TypeAlias = Callable[..., Awaitable[Store]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let ``--db`` narrow what runs on ``migrated_url`` too."""
    chosen = config.getoption("db") or DATABASES
    unwanted = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and item.callspec.params.get("migrated_url", chosen[0]) not in chosen
    ]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated file, to be copied."""
    return _migrated(f"sqlite:///{tmp_path_factory.mktemp('migrated')}/celers.db")


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: Server) -> Iterator[str]:
    yield from _migrated_on(postgres_server)


@pytest.fixture(scope="session")
def migrated_mysql(mariadb_server: Server) -> Iterator[str]:
    yield from _migrated_on(mariadb_server)


@pytest.fixture(scope="session")
def migrated_other() -> str:
    """The database of $CELERS_TEST_DATABASE_URL."""
    return _migrated(OTHER_URL or "")


@pytest.fixture(params=[*DATABASES, OTHER] if OTHER_URL else DATABASES)
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with our tables and nothing in them.

    To make one takes longer than most tests, so a server's is emptied and used again. Tests that
    change the tables themselves take ``database_url``.
    """
    url: str = request.getfixturevalue(f"migrated_{request.param}")
    if request.param == "sqlite":
        shutil.copy(url.removeprefix("sqlite:///"), tmp_path / "celers.db")
        return f"sqlite:///{tmp_path}/celers.db"
    if request.param == OTHER:
        _delete_all(url)
        return url
    request.getfixturevalue(SERVER_FIXTURES[request.param]).start()  # another may have killed it
    _empty(url)
    return url


def _migrated_on(server: Server) -> Iterator[str]:
    name = f"celers_{uuid4().hex}"
    server.start()
    yield _migrated(server.create_database(name))
    server.start()
    server.drop_database(name)


def _migrated(url: str) -> str:
    with make_direct_store(url) as direct:
        migrate.upgrade(direct)
    return url


def _empty(url: str) -> None:
    tables = [table.name for table in metadata.sorted_tables]
    with closing(databases.connect(url)) as connection, closing(connection.cursor()) as cursor:
        if url.startswith("postgresql"):
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
        else:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")


def _delete_all(url: str) -> None:
    with make_direct_store(url) as direct, direct.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())


@pytest.fixture
def direct(migrated_url: str) -> Iterator[DirectStore]:
    """The synchronous store."""
    with make_direct_store(migrated_url) as opened:
        yield opened


@pytest.fixture
async def open_store(migrated_url: str) -> AsyncIterator[OpenStore]:
    """Opens as many stores on one database as a test wants: each is a worker's own."""
    opened: list[Store] = []

    async def open_another(options: StoreOptions | None = None) -> Store:
        store = make_store(migrated_url, options)
        opened.append(store)
        await store.open()
        return store

    yield open_another
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    """The asynchronous store."""
    return await open_store()
