"""Core statements on raw asyncpg, over connections held for one purpose each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from celers_worker.store.deadline import Deadline, bounded
from celers_worker.store.errors import Fault, fault_of, raise_translated
from celers_worker.store.postgres import pooling


class Compiled:
    """A Core statement compiled once, callable on an asyncpg connection.

    asyncpg prepares it at its first use on a connection and keeps it, so that later calls skip both
    SQLAlchemy and the parser.
    """

    def __init__(self, statement: ClauseElement) -> None:
        dialect = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's factory
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._defaults: dict[str, Any] = compiled.construct_params(_check=False)
        names: Sequence[str] = compiled.positiontup or ()
        # Of a single name itemgetter makes no tuple.
        self._in_order = itemgetter(*names) if len(names) > 1 else partial(_values_of, names)

    async def fetch(self, connection: Any, **values: Any) -> list[Any]:
        """Run with *values* by name; sequences travel as arrays."""
        ordered = self._in_order({**self._defaults, **values})
        rows: list[Any] = await connection.fetch(self.text, *ordered)
        return rows


class HeldConnection:
    """A connection of the pool kept for one purpose, with a deadline; made anew when it breaks."""

    def __init__(
        self,
        engine: Callable[[], AsyncEngine],
        *,
        name: str,
        deadline: float,
        settings: Mapping[str, str] | None = None,
        prepare: Callable[[Any], Awaitable[None]] | None = None,
        arrays: Sequence[str] = (),
        local: Mapping[str, str] | None = None,
    ) -> None:
        """*prepare* is given each new connection of asyncpg.

        *arrays*: types of which it will send arrays. asyncpg asks the server what those are, for
        7 ms; it may as well do that before anybody waits for the first statement.

        *local*: nothing lasts in a session, so these and *settings* are of each transaction.
        """
        self._engine = engine
        self._name = name
        self._deadline = deadline
        self._within = Deadline(deadline, self._cut)
        self._settings = settings or {}
        self._prepare = prepare
        binds = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(arrays, 1))
        self._ask_for_arrays = (f"SELECT {binds}", *[None] * len(arrays)) if arrays else None
        self._begin = (
            None if local is None else f"BEGIN; {pooling.local({**local, **self._settings})}"
        )
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._raw: Any = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as anybody has noticed."""
        return self._raw is not None

    async def connect(self) -> None:
        """Connect before the first statement. Raises StoreError."""
        async with self._lock:
            try:
                await self._connect_once()
            except BaseException as error:  # raised again
                await self._drop()
                if isinstance(error, Exception):
                    raise_translated(error, self._name)
                raise

    async def fetch(self, statement: Compiled, **values: Any) -> list[Any]:
        """Run one statement, which commits by itself. Raises StoreError."""
        async with self._lock:
            try:
                await self._connect_once()
                with self._within:
                    return await self._fetch(statement, values)
            except BaseException as error:  # raised again: the connection's state is unknown
                # After a cancellation too: what the connection is at, nobody knows.
                conflict = isinstance(error, Exception) and fault_of(error) is Fault.CONFLICT
                if not conflict or self._begin is not None:
                    await self._drop()
                if isinstance(error, Exception):
                    raise_translated(error, self._name)
                raise

    async def close(self) -> None:
        """Give the connection back."""
        async with self._lock:
            await self._drop()
            self._within.close()

    async def _fetch(self, statement: Compiled, values: Mapping[str, Any]) -> list[Any]:
        if self._begin is None:
            return await statement.fetch(self._raw, **values)
        await self._raw.execute(self._begin)
        rows = await statement.fetch(self._raw, **values)
        await self._raw.execute("COMMIT")
        return rows

    async def _connect_once(self) -> None:
        if self._raw is None or self._raw.is_closed():
            await bounded(self._connect(), self._deadline, abandon=self._cut)

    async def _connect(self) -> None:
        await self._drop()  # the server may have ended the last one while nobody looked
        connection = await self._engine().connect()
        self._connection = connection
        self._raw = (await connection.get_raw_connection()).driver_connection
        if self._settings and self._begin is None:
            script = "; ".join(f"SET {name} = {value}" for name, value in self._settings.items())
            await self._raw.execute(script)
        if self._prepare is not None:
            await self._prepare(self._raw)
        if self._ask_for_arrays is not None and self._begin is None:
            await self._raw.fetch(*self._ask_for_arrays)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._cut()
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    def _cut(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.terminate()


def _values_of(names: Sequence[str], values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(values[name] for name in names)
