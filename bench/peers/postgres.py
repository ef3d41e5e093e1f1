"""The PostgreSQL that the contestants share: its defaults, waiting for the disk, and its cost.

It keeps the files of its log, as a server does that has run for an hour. A new one waits 80 ms for
each 16 MB, once or twice in a drain of half a second; which queue that hits, chance decides.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from bench import cpu
from bench.peers.contestant import Tables, Trouble
from bench.peers.program import Program
from tests import databases
from tests.servers import PostgresServer

#: Seconds between two looks whether a drain is over, and for which it may go on.
LOOK, PATIENCE = 0.005, 900.0
#: Seconds for which no further session came to wait for the gate: all have arrived.
ARRIVED, ARRIVAL = 0.5, 30.0
#: Of 16 MB each: as much as any scenario writes.
FILES = 100


class Postgres:
    """A private server; each scenario of each contestant has a new database in it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A new, empty database, right after a checkpoint: the next one is minutes away."""
        name = f"celers_{uuid4().hex}"
        url = self._server.create_database(name)
        parts = urlsplit(url)
        watcher = parts._replace(netloc=f"postgres@{parts.netloc.rpartition('@')[2]}").geturl()
        try:
            with (
                psycopg.connect(watcher, autocommit=True) as watching,
                psycopg.connect(watcher) as gate,
            ):
                watching.execute("CHECKPOINT")
                pid = int((self._server.data / "postmaster.pid").read_text().split()[0])
                yield Place(url, watching, gate, pid)
        finally:
            # Only a superuser may end the watchers, and not from inside.
            databases.drop_database(urlsplit(watcher)._replace(path="/postgres").geturl(), name)


@dataclass(frozen=True, slots=True)
class Place:
    """One database, and two sessions of a superuser who watches it."""

    url: str
    _watching: psycopg.Connection[Any]
    _gate: psycopg.Connection[Any]
    _postmaster: int

    def fill_log(self) -> None:
        """Write and keep as many files of the log as there will be written between checkpoints."""
        for name, value in (("min_wal_size", "2GB"), ("max_wal_size", "4GB")):
            self._watching.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value)
            )
        self._watching.execute("SELECT pg_reload_conf()")
        for _ in range(FILES):
            self._watching.execute("SELECT pg_logical_emit_message(false, 'bench', 'a file')")
            self._watching.execute("SELECT pg_switch_wal()")

    def settle_down(self) -> None:
        """Count the rows, as autovacuum does within a minute: not in the middle of a drain."""
        self._watching.execute("ANALYZE")

    def surround(self, statements: Sequence[str]) -> None:
        """Write what is around the tasks, and let it be vacuumed as it would be by and by."""
        for statement in statements:
            self._watching.execute(statement)
        self._watching.execute("VACUUM (ANALYZE)")

    @contextmanager
    def gate(self, tables: Tables) -> Iterator[Gate]:
        """Nobody can claim before it is opened; whoever starts can get so far."""
        table = sql.SQL(tables.tasks)
        self._gate.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(table))
        try:
            yield Gate(self._gate, self._watching)
        finally:
            self._gate.rollback()

    def last_task(self, tables: Tables) -> Any:
        """The task that is probably settled last."""
        return self._value(tables.last)

    def await_settled(self, tables: Tables, last: Any) -> None:
        """Return when no task is left. Looks for all of them only once the last is settled."""
        deadline = time.monotonic() + PATIENCE
        for question, parameters in ((tables.waits, (last,)), (tables.unsettled, ())):
            while self._value(question, parameters):
                if time.monotonic() > deadline:
                    raise Trouble("The drain did not end.")
                time.sleep(LOOK)

    def completed(self, tables: Tables) -> int | None:
        """How many tasks are kept as completed, if they are kept."""
        return self._value(tables.completed) if tables.completed else None

    def cpu_seconds(self) -> float:
        """What the server used so far, with all its sessions and background processes."""
        return cpu.seconds_of([self._postmaster])

    def written_bytes(self) -> int:
        """What its log took up so far."""
        return int(self._value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def _value(self, question: str, parameters: tuple[Any, ...] = ()) -> Any:
        return _value(self._watching, question, parameters)


@dataclass(frozen=True, slots=True)
class Gate:
    """A lock on the table of tasks. It lets readers pass, and holds whoever would claim."""

    _holding: psycopg.Connection[Any]
    _watching: psycopg.Connection[Any]

    def await_arrival(self, workers: Sequence[Program]) -> None:
        """Return when as many wait, and no further session of theirs has come for a while."""
        arrived, since = 0, time.monotonic()
        deadline = since + ARRIVAL
        while arrived < len(workers) or time.monotonic() - since < ARRIVED:
            now = _value(
                self._watching,
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            for worker in workers:
                worker.check()
            if now != arrived:
                arrived, since = now, time.monotonic()
            if time.monotonic() > deadline:
                raise Trouble(f"{arrived} of {len(workers)} worker processes came to claim.")
            time.sleep(LOOK)

    def open(self) -> None:
        """Let them claim."""
        self._holding.commit()


def _value(connection: psycopg.Connection[Any], question: str, parameters: Any = ()) -> Any:
    row = connection.execute(question, parameters or None, prepare=True).fetchone()
    return row[0] if row else None


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A block in which there is a server."""
    with PostgresServer(durable=True) as server:
        made = Postgres(server)
        with made.place() as place:
            place.fill_log()
        yield made
