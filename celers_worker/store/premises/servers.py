"""Servers: one connection in autocommit, for what no transaction may hold."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, make_url, text

from celers_worker.core.errors import StoreError, Unavailable
from celers_worker.store import make_direct_store
from celers_worker.store.base import StoreOptions
from celers_worker.store.direct import DirectStore
from celers_worker.store.errors import raise_translated
from celers_worker.store.premises import here as in_place
from celers_worker.store.premises.ground import PREFIX, Ground, Place, is_name
from celers_worker.store.premises.sessions import end_sessions

#: A selftest that makes or erases its place is waited for so long, in seconds.
PATIENCE = 30


class ServerGround(Ground):
    """A server with databases. ``ask`` speaks to the named one."""

    def __init__(self, url: str, options: StoreOptions, *, here: bool) -> None:
        super().__init__(url, options, here=here)
        self._connection: Connection | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """By a lock of the session, on the server."""
        with make_direct_store(self.url, self.options) as direct, self.session(direct) as asked:
            self._connection = asked
            try:
                with self.translated():
                    self._lock(asked, PREFIX)
                yield
            finally:
                self._connection = None

    def erase_left(self) -> None:
        """Every place on the server that this user may erase, and one in the named database."""
        for name in filter(is_name, self.names()):
            with suppress(StoreError):
                self.erase_unless_held(name)
        if self.here:
            self._erase_left_here()

    def take_here(self, name: str, held: ExitStack, url: str, *, sessions: bool) -> Place:
        """Make the named database a place. Raises ConfigurationError if Celers lives there."""
        direct = held.enter_context(make_direct_store(self.url, self.options))
        in_place.refuse_if_used(direct)
        self.hold(direct, in_place.MARK, held)
        in_place.mark(direct)
        return Place(url=url, name=name, told=f"the tables in {direct.name}", sessions=sessions)

    def erase_here(self) -> None:
        """Take away the tables, if they are a selftest's."""
        with make_direct_store(self.url, self.options) as direct:
            in_place.clear(direct)

    def hold(self, direct: DirectStore, name: str, held: ExitStack) -> None:
        """Hold the lock *name* on a connection that ends with *held*."""
        connection = held.enter_context(self.session(direct))
        with self.translated():
            self._lock(connection, name)

    @contextmanager
    def session(self, direct: DirectStore) -> Iterator[Connection]:
        """A connection in autocommit, which is closed afterwards and never used again."""
        with self.translated(direct.name):
            connection = direct.engine.connect()
        try:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
        finally:
            connection.invalidate()  # with its locks: they must not wait in a pool
            connection.close()

    @contextmanager
    def translated(self, name: str | None = None) -> Iterator[None]:
        """Raise what the server says as our errors."""
        try:
            yield
        except Exception as error:  # translated
            raise_translated(error, name or self.shown)

    @property
    def shown(self) -> str:
        """The named database for messages."""
        return make_url(self.url).render_as_string(hide_password=True)

    def ask(self, statement: str, **values: Any) -> list[Any]:
        """Rows of the named database, or nothing where there are none. Raises StoreError."""
        with self.translated():
            found = self.connection.execute(text(statement), values)
            return list(found) if found.returns_rows else []

    def end_sessions(self, name: str) -> None:
        """Those of the place *name*."""
        with self.translated():
            end_sessions(self.connection, name)

    @property
    def connection(self) -> Connection:
        """The one of ``alone``."""
        assert self._connection is not None
        return self._connection

    @abstractmethod
    def names(self) -> list[str]:
        """The places there are of this user's."""

    @abstractmethod
    def erase_unless_held(self, name: str) -> None:
        """Erase it if its lock is free."""

    @abstractmethod
    def try_lock(self, connection: Connection, name: str) -> bool:
        """Hold the lock *name* in this session, unless another does."""

    def _lock(self, connection: Connection, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.try_lock(connection, name):
            if time.monotonic() > deadline:
                raise Unavailable(f"another selftest has held {name} for {PATIENCE} s.")
            time.sleep(0.1)

    def _erase_left_here(self) -> None:
        with make_direct_store(self.url, self.options) as direct:
            if in_place.is_marked(direct):
                with self.session(direct) as asked, self.translated():
                    if self.try_lock(asked, in_place.MARK):
                        in_place.clear(direct)
