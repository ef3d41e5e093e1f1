"""Lookout: whether anything waits, in one statement, for a server that does not tell."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import URL, NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from celers_worker.store import sweeps
from celers_worker.store.base import Store
from celers_worker.store.deadline import bounded


class Lookout:
    """An idle worker's question, on a connection of its own that commits by itself.

    It is asked thirty times a second, and in a transaction it would be three statements.
    """

    def __init__(self, store: Store, url: URL, connect_arguments: dict[str, Any]) -> None:
        self._store = store
        self._url = url
        self._connect_arguments = connect_arguments
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._raw: Any = None
        self._lock = asyncio.Lock()

    async def anything_waits(self) -> bool:
        """Whether a task is pending, due or not; True if there is no answer: look for yourself."""
        seconds = self._store.options.call_timeout.total_seconds()
        async with self._lock:
            try:
                return await bounded(self._ask(), seconds, abandon=self._cut)
            except BaseException as error:  # raised again unless it is an error
                # After a cancellation too: what the connection is at, nobody knows.
                await self._drop()
                if isinstance(error, Exception):
                    return True
                raise

    async def close(self) -> None:
        """Close the connection."""
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._cut()
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def _ask(self) -> bool:
        if self._connection is None:
            if self._engine is None:
                self._engine = create_async_engine(
                    self._url,
                    poolclass=NullPool,
                    isolation_level="AUTOCOMMIT",
                    connect_args=self._connect_arguments,
                )
            self._connection = await self._engine.connect()
            self._raw = (await self._connection.get_raw_connection()).driver_connection
        return (await self._connection.execute(sweeps.FIRST_QUEUE)).first() is not None

    def _cut(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()  # only the socket
