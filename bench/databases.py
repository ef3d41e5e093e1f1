"""Where it is measured: each run has a new, empty database of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias
from uuid import uuid4

from celers_worker.store import make_direct_store, migrate
from tests.servers import Server, mariadb_server, postgres_server

#: A block with the URL of a new database with our tables.
NewDatabase: TypeAlias = Callable[[], AbstractContextManager[str]]

#: What can be measured on, with the names of the products.
TARGETS: Mapping[str, str] = MappingProxyType(
    {"sqlite": "SQLite", "postgres": "PostgreSQL", "mysql": "MariaDB"}
)


@contextmanager
def target(name: str) -> Iterator[NewDatabase]:
    """A block in which there is a server of this kind, started as the tests do, but durable."""
    match name:
        case "postgres":
            with postgres_server(durable=True) as server:
                yield partial(_on_server, server)
        case "mysql":
            with mariadb_server(durable=True) as server:
                yield partial(_on_server, server)
        case _:
            yield _in_file


def version_of(new_database: NewDatabase) -> str:
    """Product and version of the server."""
    with new_database() as url, make_direct_store(url) as store:
        return str(store.open())


@contextmanager
def _in_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="celers-bench-") as directory:
        url = f"sqlite:///{Path(directory) / 'celers.db'}"
        _migrate(url)
        yield url


@contextmanager
def _on_server(server: Server) -> Iterator[str]:
    name = f"celers_{uuid4().hex}"
    url = server.create_database(name)
    try:
        _migrate(url)
        yield url
    finally:
        server.drop_database(name)


def _migrate(url: str) -> None:
    with make_direct_store(url) as store:
        migrate.upgrade(store)
