"""LISTEN: what other processes tell of new tasks, and of what people ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Set
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL

from celers_worker.core.errors import Unavailable
from celers_worker.store.base import SILENCE, StoreOptions, Wakeup
from celers_worker.store.deadline import bounded
from celers_worker.store.errors import raise_translated
from celers_worker.store.postgres import connecting
from celers_worker.store.postgres.transaction import CONTROL_CHANNEL, TASKS_CHANNEL
from celers_worker.store.tls import Tls

#: So long after a hint there is another, for tasks that were committed at the same time and not
#: announced (see ``enqueueing``), in seconds.
SECOND_LOOK = 0.02


class Listening:
    """Hints heard on a connection of its own: one of a kind is as good as a hundred."""

    def __init__(self, url: URL, name: str, options: StoreOptions, tls: Tls) -> None:
        self._url = url
        self._name = name
        self._options = options
        self._tls = tls
        self.served: Collection[str] | None = None
        """The queues whose hints count; None for all."""
        self._control = False
        self._queues: set[str] = set()
        self._heard = asyncio.Event()
        self._announce: Callable[[], None] = self._heard.set
        self._heard_at = 0.0
        self._second: asyncio.TimerHandle | None = None

    def on_announced(self, callback: Callable[[], None]) -> None:
        """Call *callback* when tasks are announced, which ``wakeups`` then does not tell."""
        self._announce = callback

    def take_queues(self) -> Set[str]:
        """The queues that were announced since this was last asked."""
        queues, self._queues = self._queues, set()
        return queues

    async def wakeups(self) -> AsyncGenerator[Wakeup, None]:
        """Yield hints until the connection breaks, which raises Unavailable."""
        async with self._connection() as connection:
            yield Wakeup(control=True)  # what came while nobody listened
            while not connection.is_closed():
                if await self._hear_within(SILENCE):
                    control, self._control = self._control, False
                    yield Wakeup(control=control)
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
            self._announce()
            loop = asyncio.get_running_loop()
            self._heard_at = loop.time()
            if self._second is None:
                self._second = loop.call_later(SECOND_LOOK, self._look_again, loop)
            return
        self._control |= channel == CONTROL_CHANNEL
        self._heard.set()

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """Announce once more, when there was no hint for so long."""
        self._second = None
        left = self._heard_at + SECOND_LOOK - loop.time()
        if left > 0:
            self._second = loop.call_later(left, self._look_again, loop)
        else:
            self._announce()

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
            made.append(await connecting.connect(self._url, self._options, self._tls))

        try:
            seconds = connecting.patience(self._url, self._options)
            await bounded(connect(), seconds, abandon=lambda: None)
            [connection] = made
            connection.add_termination_listener(lambda gone: self._hear(gone, 0, "", ""))
            await connection.add_listener(TASKS_CHANNEL, self._hear)
            await connection.add_listener(CONTROL_CHANNEL, self._hear)
            yield connection
        except Exception as error:  # translated
            raise_translated(error, self._name)
        finally:
            if self._second is not None:
                self._second.cancel()
                self._second = None
            for connection in made:  # also one that was made while this was cancelled
                connection.terminate()
