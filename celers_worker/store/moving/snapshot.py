"""One moment of a database, however long one looks at it: a transaction that only reads.

It holds nobody up. But what is changed meanwhile, the server must keep in two versions: dead rows
on PostgreSQL, undo on MySQL, the file's journal on SQLite; all of it is cleaned up afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, select
from sqlalchemy.exc import SQLAlchemyError

from celers_worker.store import server, sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.errors import raise_translated
from celers_worker.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a database: all reads of *transaction* see it as it was *at* this instant."""

    transaction: Transaction
    at: datetime
    server: server.Server

    @property
    def connection(self) -> Connection:
        """Where to read."""
        return self.transaction.connection


@contextmanager
def snapshot(store: DirectStore) -> Iterator[Snapshot]:
    """Look at *store* at one moment. Raises a StoreError if the database fails meanwhile."""
    try:
        with _reading(store) as connection:
            at = connection.execute(select(sql.now())).scalar_one()
            # On SQLite the moment is that of the first read of a table.
            server.check_schema(connection)
            yield Snapshot(store.transaction(connection), at, server.server_of(connection))
    except SQLAlchemyError as error:  # not what happens to the reader, such as a full disk
        raise_translated(error, store.name)


@contextmanager
def _reading(store: DirectStore) -> Iterator[Connection]:
    match store.url.get_backend_name():
        case "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            with store.engine.connect().execution_options(**options) as connection:
                yield connection
        case "mysql":
            with store.engine.connect() as connection:
                connection.detach()  # its session is not like the others' any more
                connection.exec_driver_sql("ROLLBACK")
                connection.exec_driver_sql(
                    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
                )
                connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                yield connection
        case _:
            with _reading_engine(store).connect() as connection:
                yield connection


def _reading_engine(store: DirectStore) -> Engine:
    """The store's own engine takes the write lock whenever a transaction begins."""
    busy = store.options.call_timeout.total_seconds()
    engine = create_engine(
        store.url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": busy}
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")

    @event.listens_for(engine, "connect")
    def configure(connection: object, record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # BEGIN is ours, above

    return engine
