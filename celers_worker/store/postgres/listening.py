"""LISTEN: what other processes tell of new tasks, and of what people ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Set
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import URL

from celers_worker.core.errors import Unavailable
from celers_worker.store.base import SILENCE, StoreOptions, Wakeup
from celers_worker.store.deadline import bounded
from celers_worker.store.errors import raise_translated
from celers_worker.store.postgres.transaction import CONTROL_CHANNEL, TASKS_CHANNEL

#: So long after a hint there is another, for tasks that were committed at the same time and not
#: announced (see ``enqueueing``), in seconds.
SECOND_LOOK = 0.02


class Listening:
    """Hints heard on a connection of its own: one of a kind is as good as a hundred."""

    def __init__(self, url: URL, name: str, options: StoreOptions) -> None:
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._name = name
        self._options = options
        self.served: Collection[str] | None = None
        """The queues whose hints count; None for all."""
        self._control = False
        self._queues: set[str] = set()
        self._heard = asyncio.Event()

    def take_queues(self) -> Set[str]:
        """The queues that were announced since this was last asked."""
        queues, self._queues = self._queues, set()
        return queues

    async def wakeups(self) -> AsyncGenerator[Wakeup, None]:
        """Yield hints until the connection breaks, which raises Unavailable."""
        async with self._connection() as connection:
            yield Wakeup(control=True)  # what came while nobody listened
            patience = SILENCE
            while not connection.is_closed():
                if await self._hear_within(patience):
                    control, self._control = self._control, False
                    yield Wakeup(control=control)
                    patience = SECOND_LOOK
                elif patience == SECOND_LOOK:
                    yield Wakeup()
                    patience = SILENCE
                else:
                    await self._ask(connection)
                    yield Wakeup(tasks=False)
            raise Unavailable(f"{self._name} ended the connection that listens.")

    async def _hear_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    def _hear(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        """Take note of a notification; asyncpg calls it."""
        if channel == TASKS_CHANNEL:
            if self.served is not None and payload not in self.served:
                return
            self._queues.add(payload)
        self._control |= channel == CONTROL_CHANNEL
        self._heard.set()

    async def _ask(self, connection: Any) -> None:
        """Find out whether it is still there: a connection can die without a word."""
        await bounded(
            connection.execute("SELECT 1"),
            self._options.call_timeout.total_seconds(),
            abandon=connection.terminate,
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        made: list[Any] = []

        async def connect() -> None:
            made.append(await asyncpg.connect(self._url))

        try:
            seconds = self._options.connect_timeout.total_seconds()
            await bounded(connect(), seconds, abandon=lambda: None)
            [connection] = made
            connection.add_termination_listener(lambda gone: self._hear(gone, 0, "", ""))
            await connection.add_listener(TASKS_CHANNEL, self._hear)
            await connection.add_listener(CONTROL_CHANNEL, self._hear)
            yield connection
        except Exception as error:
            raise_translated(error, self._name)
        finally:
            for connection in made:  # also one that was made while this was cancelled
                connection.terminate()
