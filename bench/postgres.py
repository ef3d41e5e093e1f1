"""PostgreSQL with its defaults: it tells what it wrote ahead, and its log every statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from bench import cpu
from bench.database import Database, NewDatabase
from tests import databases
from tests.servers import PostgresServer

_STATEMENT = re.compile(rb"LOG:  (statement|execute [^:]+): ")


class PostgresDatabase(Database):
    """A database, and a session of a superuser who watches it."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        super().__init__(url)
        self._watching = psycopg.connect(_as_superuser(url), autocommit=True)
        self._name = urlsplit(url).path.lstrip("/")
        self._log = server.log
        self._postmaster = int((server.data / "postmaster.pid").read_text().split()[0])

    @property
    def cpu_seconds(self) -> float:
        """Of the postmaster with all that it started."""
        return cpu.seconds_of([self._postmaster])

    @property
    def written_bytes(self) -> int:
        """Of the write-ahead log."""
        return int(self._value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def settle_down(self) -> None:
        """What autovacuum does."""
        self._watching.execute("VACUUM (ANALYZE)")

    def flush(self) -> None:
        """The next checkpoint is minutes away then."""
        self._watching.execute("CHECKPOINT")

    @contextmanager
    def statements(self) -> Iterator[Callable[[], int]]:
        """Counted in the server's log."""
        self._watching.execute(f"ALTER DATABASE {self._name} SET log_statement = 'all'")
        start = self._log.stat().st_size

        def count() -> int:
            with self._log.open("rb") as log:
                log.seek(start)
                return len(_STATEMENT.findall(log.read()))

        yield count

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything deleted from now on must be kept for this session."""
        with psycopg.connect(self.url) as holding:
            holding.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            holding.execute("SELECT count(*) FROM celers_queues")
            yield

    def close(self) -> None:
        """End the session that watches."""
        self._watching.close()

    def _value(self, question: str) -> Any:
        row = self._watching.execute(question).fetchone()
        return row[0] if row else None


@contextmanager
def postgres() -> Iterator[NewDatabase]:
    """A block in which there is a server that waits for the disk."""
    with PostgresServer(durable=True) as server:
        yield partial(_new_database, server)


@contextmanager
def _new_database(server: PostgresServer) -> Iterator[Database]:
    name = f"celers_{uuid4().hex}"
    database = PostgresDatabase(server, server.create_database(name))
    try:
        database.migrate()
        yield database
    finally:
        database.close()
        # Autovacuum may be at it, and only a superuser may end that.
        databases.drop_database(_as_superuser(server.url), name)


def _as_superuser(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"postgres@{parts.netloc.rpartition('@')[2]}").geturl()
