"""PostgreSQL's hints that tasks have ended: LISTEN, and a lock that says that somebody does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import asyncpg
from sqlalchemy import URL

from celers_worker.core.errors import StoreError
from celers_worker.store.base import StoreOptions
from celers_worker.store.deadline import bounded
from celers_worker.store.ended import EndedHints
from celers_worker.store.errors import raise_translated
from celers_worker.store.postgres import connecting
from celers_worker.store.postgres.settling import ENDED_CHANNEL, WAITING_LOCK
from celers_worker.store.tls import Tls

#: A settle that holds the lock is waited for so long, in milliseconds; meanwhile others see that
#: somebody waits. Longer it is held by another who waits, and then hints flow anyway.
LOCK_PATIENCE = 20


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
        await connection.execute(f"SET lock_timeout = {LOCK_PATIENCE}")

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
