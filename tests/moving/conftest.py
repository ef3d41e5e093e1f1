"""Databases of every kind, in pairs where rows go from one to another."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from celers_worker.store import make_direct_store, migrate
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import metadata
from tests import databases
from tests.conftest import DATABASES, SERVER_FIXTURES
from tests.servers import Server

#: Gives an empty, migrated database of a kind; the second one of a kind is another one.
Database: TypeAlias = Callable[[str], str]
_KINDS = ("migrated_url", "source_kind", "target_kind")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let ``--db`` narrow what runs on these too."""
    chosen = set(config.getoption("db") or DATABASES)
    unwanted = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and not {item.callspec.params[kind] for kind in _KINDS if kind in item.callspec.params}
        <= chosen
    ]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]


@pytest.fixture(scope="session")
def two_sqlite(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two migrated databases, to be copied; for each kind, for to migrate takes long."""
    folder = tmp_path_factory.mktemp("migrated")
    return [_migrated(f"sqlite:///{folder}/celers-{number}.db") for number in range(2)]


@pytest.fixture(scope="session")
def two_postgres(postgres_server: Server) -> Iterator[list[str]]:
    yield from _two_on(postgres_server)


@pytest.fixture(scope="session")
def two_mysql(mariadb_server: Server) -> Iterator[list[str]]:
    yield from _two_on(mariadb_server)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Databases with our tables and nothing in them."""
    given: list[str] = []

    def give(kind: str) -> str:
        url: str = request.getfixturevalue(f"two_{kind}")[given.count(kind)]
        given.append(kind)
        if kind == "sqlite":
            copied = shutil.copy(url.removeprefix("sqlite:///"), tmp_path)
            return f"sqlite:///{copied}"
        request.getfixturevalue(SERVER_FIXTURES[kind]).start()  # a test may have killed it
        _empty(url)
        return url

    return give


@pytest.fixture(params=DATABASES)
def migrated_url(request: pytest.FixtureRequest, database: Database) -> str:
    """A database of each kind."""
    return database(request.param)


@pytest.fixture
def direct(migrated_url: str) -> Iterator[DirectStore]:
    """The store on it."""
    with make_direct_store(migrated_url) as opened:
        yield opened


@pytest.fixture
def spare(database: Database) -> Iterator[DirectStore]:
    """Another database, on SQLite: where rows go that are compared with what they were."""
    with make_direct_store(database("sqlite")) as opened:
        yield opened


def _two_on(server: Server) -> Iterator[list[str]]:
    server.start()
    names = [f"celers_{uuid4().hex}" for _ in range(2)]
    yield [_migrated(server.create_database(name)) for name in names]
    server.start()
    for name in names:
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
