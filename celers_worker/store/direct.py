"""The synchronous store: for producers without an event loop, the CLI and migrations."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine

from celers_worker.core.errors import Unavailable
from celers_worker.core.task import Enqueued, NewTask
from celers_worker.store import server
from celers_worker.store.base import TRIES, StoreOptions
from celers_worker.store.ended import EndedPause
from celers_worker.store.errors import (
    Fault,
    fault_of,
    leave_servers_that_take_no_writes,
    raise_translated,
)
from celers_worker.store.schema import HEAD
from celers_worker.store.transaction import Transaction
from celers_worker.store.urls import shown_url
from celers_worker.store.values import CHUNK, chunks

P = ParamSpec("P")
R = TypeVar("R")


class DirectStore:
    """Tasks in a SQL database, without an event loop. Safe to share between threads.

    Everything here works on every database; a subclass says how to connect to its own.
    """

    transaction: type[Transaction] = Transaction
    #: Whether the tables are made and migrated when it is opened: there is nobody else to do it.
    embedded: ClassVar[bool] = False

    def __init__(self, url: URL, options: StoreOptions) -> None:
        self.url = url
        self.options = options
        self.engine = self._make_engine()

    @property
    def name(self) -> str:
        """The database as messages call it, without its password."""
        return shown_url(self.url)

    @property
    def file(self) -> Path | None:
        """The file that the database is; None where a server keeps it, or only memory."""
        return None

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
        if self.embedded:
            self._bring_up_to_date()
        found = self.run(lambda transaction: server.server_of(transaction.connection))
        server.check_server(found)
        self.run(lambda transaction: server.check_schema(transaction.connection))
        return found

    def _bring_up_to_date(self) -> None:
        """Migrate an embedded database."""
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
                with (
                    self.engine.connect() as connection,
                    self._bounded(connection),
                    connection.begin(),
                ):
                    return operation(self.transaction(connection), *args, **kwargs)
            except Exception as error:  # translated, unless it is tried again
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

    def ended_pause(self) -> EndedPause:
        """What tells a caller without a loop that tasks have ended; to be closed."""
        return EndedPause()

    # --- inside ---

    def _make_engine(self) -> Engine:
        engine = create_engine(
            self._engine_url,
            pool_size=self.options.pool_size,
            # Without the password in the tracebacks of users, and without their payloads.
            hide_parameters=True,
            connect_args=self._connect_arguments(),
            **self._engine_options(),
        )
        leave_servers_that_take_no_writes(engine)
        return engine

    @property
    def _engine_url(self) -> URL:
        """The URL without what goes to the driver as arguments."""
        return self.url

    def _connect_arguments(self) -> dict[str, Any]:
        """The driver's own arguments for a connection."""
        return {}

    def _engine_options(self) -> dict[str, Any]:
        """The engine's options for this database."""
        return {}

    def _bounded(self, connection: Connection) -> AbstractContextManager[None]:
        """Give the database a deadline, where its driver has none of its own."""
        return nullcontext()

    @property
    def connect_seconds(self) -> int:
        """The connect timeout for drivers that take whole seconds."""
        return max(1, round(self.options.connect_timeout.total_seconds()))

    @property
    def call_seconds(self) -> int:
        """The call timeout for drivers that take whole seconds."""
        return max(1, round(self.options.call_timeout.total_seconds()))
