"""The synchronous store: for producers without an event loop, the CLI and migrations."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import URL, Engine, create_engine

from celers_worker.core.errors import Unavailable
from celers_worker.core.task import Enqueued, NewTask
from celers_worker.store import mysql, server
from celers_worker.store.base import TRIES, StoreOptions
from celers_worker.store.errors import Fault, fault_of, raise_translated
from celers_worker.store.schema import HEAD
from celers_worker.store.sqlite import sqlite_engine
from celers_worker.store.transaction import Transaction
from celers_worker.store.urls import driver_url, shown_url
from celers_worker.store.values import CHUNK, chunks

P = ParamSpec("P")
R = TypeVar("R")


class DirectStore:
    """Tasks in a SQL database, without an event loop. Safe to share between threads."""

    def __init__(self, url: URL, options: StoreOptions, transaction: type[Transaction]) -> None:
        self.url = url
        self.options = options
        self.transaction = transaction
        self.engine = direct_engine(url, options)

    @property
    def name(self) -> str:
        """The database as messages call it, without its password."""
        return shown_url(self.url)

    @property
    def file(self) -> Path | None:
        """The file of an embedded database, which is made and migrated when it is opened."""
        embedded = self.url.get_backend_name() == "sqlite"
        return Path(self.url.database) if embedded and self.url.database else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> server.Server:
        """Connect once and check the server's version and the tables; see ``Store.open``."""
        if self.file is not None:
            self._bring_up_to_date()
        found = self.run(lambda transaction: server.server_of(transaction.connection))
        server.check_server(found)
        self.run(lambda transaction: server.check_schema(transaction.connection))
        return found

    def _bring_up_to_date(self) -> None:
        """Migrate an embedded file: there is nobody else to do it."""
        revision = self.run(lambda transaction: server.schema_revision(transaction.connection))
        if revision is None or revision < HEAD:
            from celers_worker.store import migrate  # Alembic takes a quarter of a second to import

            migrate.upgrade(self)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def run(
        self,
        operation: Callable[Concatenate[Transaction, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run *operation* in a transaction of its own, again if it conflicts with another."""
        for attempt in range(1, TRIES + 1):
            try:
                with self.engine.begin() as connection:
                    return operation(self.transaction(connection), *args, **kwargs)
            except Exception as error:
                if fault_of(error) is not Fault.CONFLICT or attempt == TRIES:
                    raise_translated(error, self.name)
            time.sleep(random.uniform(0.0, 0.01 * 2**attempt))
        raise AssertionError("the last try returns or raises")

    def enqueue(
        self, tasks: Sequence[NewTask], *, capacities: Mapping[str, int] | None = None
    ) -> list[Enqueued]:
        """Add *tasks*; see ``Store.enqueue``."""
        added: list[Enqueued] = []
        for chunk in chunks(tasks, CHUNK):
            try:
                added += self.run(self.transaction.enqueue, chunk, capacities=capacities)
            except Unavailable:
                added += self.run(
                    self.transaction.enqueue, chunk, repeated=True, capacities=capacities
                )
        return added


def direct_engine(url: URL, options: StoreOptions) -> Engine:
    """An engine whose driver or server ends what takes too long; *url* may name any driver."""
    url = driver_url(url.render_as_string(hide_password=False), synchronous=True)
    connect = max(1, round(options.connect_timeout.total_seconds()))
    call = max(1, round(options.call_timeout.total_seconds()))
    arguments: dict[str, Any]
    match url.get_backend_name():
        case "sqlite":
            return sqlite_engine(url, busy_timeout=call, pool_size=options.pool_size)
        case "postgresql":
            arguments = {
                "connect_timeout": connect,
                "application_name": "celers",
                # The server ends what takes too long, and who falls silent with locks in his
                # hands; a server that is gone, the socket does.
                "options": f"-c statement_timeout={call * 1000}"
                f" -c idle_in_transaction_session_timeout={call * 1000}",
                "tcp_user_timeout": call * 1000,
            }
            return create_engine(
                url, pool_size=options.pool_size, hide_parameters=True, connect_args=arguments
            )
        case _:
            arguments = {
                "connect_timeout": connect,
                "read_timeout": call,
                "write_timeout": call,
                "charset": "utf8mb4",
                "init_command": mysql.session(options),
            }
            return create_engine(
                url,
                pool_size=options.pool_size,
                hide_parameters=True,
                isolation_level=mysql.ISOLATION,
                connect_args=arguments,
            )
