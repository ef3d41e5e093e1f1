"""MariaDB with its defaults: it counts the statements of all sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from uuid import uuid4

from bench import cpu
from bench.database import Database, NewDatabase
from tests import databases
from tests.servers import MariaDBServer


class MariaDatabase(Database):
    """A database of one server."""

    def __init__(self, server: MariaDBServer, url: str) -> None:
        super().__init__(url)
        self._process = int((server.directory / "server.pid").read_text())

    @property
    def cpu_seconds(self) -> float:
        """Of the server's only process."""
        return cpu.seconds_of([self._process])

    @contextmanager
    def statements(self) -> Iterator[Callable[[], int]]:
        """Counted by the server; those that ask for the count are ours, and left out."""
        with closing(databases.connect(self.url)) as connection:
            asked = 0

            def count() -> int:
                nonlocal asked
                with closing(connection.cursor()) as cursor:
                    cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
                    asked += 1
                    return int(cursor.fetchone()[1]) - asked

            yield count

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything deleted from now on must be kept for this session."""
        with closing(databases.connect(self.url)) as holding, closing(holding.cursor()) as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            cursor.execute("SELECT count(*) FROM celers_queues")
            yield


@contextmanager
def mariadb() -> Iterator[NewDatabase]:
    """A block in which there is a server that waits for the disk."""
    with MariaDBServer(durable=True) as server:
        yield partial(_new_database, server)


@contextmanager
def _new_database(server: MariaDBServer) -> Iterator[Database]:
    name = f"celers_{uuid4().hex}"
    database = MariaDatabase(server, server.create_database(name))
    try:
        database.migrate()
        yield database
    finally:
        server.drop_database(name)
