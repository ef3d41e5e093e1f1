"""PostgreSQL's hints that tasks have ended: LISTEN, and a lock that says that somebody does."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import asyncpg
import psycopg
from sqlalchemy import URL

from celers_worker.core.errors import StoreError
from celers_worker.store.base import StoreOptions
from celers_worker.store.deadline import bounded
from celers_worker.store.ended import EndedHints, EndedPause
from celers_worker.store.errors import raise_translated
from celers_worker.store.postgres import connecting
from celers_worker.store.postgres.settling import ENDED_CHANNEL, WAITING_LOCK
from celers_worker.store.tls import Tls

#: A settle that holds the lock is waited for so long, in milliseconds; meanwhile others see that
#: somebody waits. Longer it is held by another who waits, and then hints flow anyway.
_PATIENCE = 20


class PostgresEndedHints(EndedHints):
    """Hints heard on a connection of their own, which is made when they are first wanted."""

    first_pause = 0.5  # the hints come sooner

    def __init__(self, url: URL, name: str, options: StoreOptions, tls: Tls) -> None:
        super().__init__()
        self._url = url
        self._name = name
        self._options = options
        self._tls = tls
        self._connection: Any = None
        self._holds_lock = False

    async def listen(self) -> None:
        """Connect if need be, and take the lock unless another who waits has it.

        Without a connection time does, so nothing is raised: whoever looks will hear of it.
        """
        with suppress(StoreError):
            if self._connection is None or self._connection.is_closed():
                await self._connect()
            if not self._holds_lock:
                await self._asked(self._take_lock())

    def close(self) -> None:
        """Cut the connection; the server gives the lock back."""
        connection, self._connection = self._connection, None
        self._holds_lock = False
        if connection is not None:
            connection.terminate()

    async def _connect(self) -> None:
        self.close()
        await self._asked(self._connected(), connecting.patience(self._url, self._options))

    async def _connected(self) -> None:
        connection = await connecting.connect(self._url, self._options, self._tls)
        self._connection = connection
        await connection.add_listener(ENDED_CHANNEL, self._hear)
        await connection.execute(f"SET lock_timeout = {_PATIENCE}")

    async def _take_lock(self) -> None:
        try:
            await self._connection.execute(f"SELECT pg_advisory_lock({WAITING_LOCK})")
        except asyncpg.LockNotAvailableError:
            return
        self._holds_lock = True

    async def _asked(self, asking: Any, seconds: float | None = None) -> None:
        limit = self._options.call_timeout.total_seconds() if seconds is None else seconds
        try:
            await bounded(asking, limit, abandon=self.close)
        except BaseException as error:  # raised again: the connection's state is unknown
            self.close()
            if isinstance(error, Exception):
                raise_translated(error, self._name)
            raise

    def _hear(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        """Take note of a notification; asyncpg calls it."""
        self.hear()


class PostgresEndedPause(EndedPause):
    """Hints for a caller without a loop, on a connection made at the first pause that is long."""

    #: A shorter pause is over before one could listen, in seconds.
    _WORTH_IT = 0.05

    def __init__(self, url: URL, arguments: Mapping[str, Any]) -> None:
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._arguments = arguments
        self._connection: psycopg.Connection[Any] | None = None
        self._given_up = self._holds_lock = False

    def wait(self, seconds: float) -> None:
        """Wait for a hint, at most so long. Where one cannot listen, time does."""
        if self._given_up or (self._connection is None and seconds < self._WORTH_IT):
            super().wait(seconds)
            return
        try:
            if self._connection is None:
                self._listen()
                return  # and look at once: what ended before was not told of
            self._take_lock()
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error:
            self.close()
            self._given_up = True

    def close(self) -> None:
        """Close the connection; the server gives the lock back."""
        connection, self._connection, self._holds_lock = self._connection, None, False
        if connection is not None:
            connection.close()

    def _listen(self) -> None:
        self._connection = psycopg.connect(self._url, autocommit=True, **self._arguments)
        self._connection.execute(f"SET lock_timeout = {_PATIENCE}")
        self._connection.execute(f"LISTEN {ENDED_CHANNEL}")
        self._take_lock()

    def _take_lock(self) -> None:
        if self._connection is None or self._holds_lock:
            return
        with suppress(psycopg.errors.LockNotAvailable):  # another who waits has it
            self._connection.execute(f"SELECT pg_advisory_lock({WAITING_LOCK})")
            self._holds_lock = True
