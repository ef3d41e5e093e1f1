"""Waiting: everybody in one event loop who waits for tasks shares one query, and one LISTEN."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from uuid import UUID

from celers_worker.core.errors import CelersError, StoreError
from celers_worker.store import Store
from celers_worker.store.results import Ending, endings_of
from celers_worker.store.values import CHUNK, chunks

#: Between two looks that hints ask for, in seconds: hints come in bursts.
_BREATH = 0.005
#: So long after the last one was served it still listens, for the next who waits, in seconds.
_LINGER = 1.0


class _Waiter:
    """One who waits: for which tasks, and what has come for him."""

    def __init__(self, ids: Iterable[UUID]) -> None:
        self.ids = set(ids)
        self.come: deque[tuple[UUID, Ending | None]] = deque()
        self.error: Exception | None = None
        self.told = asyncio.Event()

    def tell(self, asked: set[UUID], found: dict[UUID, Ending]) -> bool:
        """Hand over those of *asked* that have ended, or never were; whether there were any."""
        for task_id in self.ids & asked:
            ending = found.get(task_id)
            if ending is None or ending.ended:
                self.ids.discard(task_id)
                self.come.append((task_id, ending))
        if self.come:
            self.told.set()
        return bool(self.come)


class Waiting:
    """Asks for all tasks that somebody in this event loop waits for, at once and again.

    It asks when somebody comes, when the database hints that tasks ended, and from time to time.
    What the database raises, everybody is told who waits then.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hints = store.ended_hints()
        self._waiters: set[_Waiter] = set()
        self._new: set[UUID] = set()
        self._watch: asyncio.Task[None] | None = None

    async def endings(
        self, ids: Iterable[UUID]
    ) -> AsyncGenerator[tuple[UUID, Ending | None], None]:
        """Yield each task when it has ended, None for one that never was; ends with the last.

        Raises StoreError. Close it to wait no longer.
        """
        waiter = _Waiter(ids)
        left = len(waiter.ids)
        self._waiters.add(waiter)
        self._new |= waiter.ids
        self._hints.wake()
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look_while_needed(), name="celers-waiting")
        try:
            while left:
                await waiter.told.wait()
                waiter.told.clear()
                while waiter.come:
                    left -= 1
                    yield waiter.come.popleft()
                if waiter.error is not None:
                    raise waiter.error
        finally:
            self._waiters.discard(waiter)

    async def close(self) -> None:
        """Look no more; who still waits is told so."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})

    async def _look_while_needed(self) -> None:
        try:
            while self._wanted or await self._comes_another():
                try:
                    await self._serve()
                except Exception as error:  # whoever waits raises it
                    self._give_up(error)
        finally:
            self._hints.close()
            self._give_up(CelersError("the application was closed while it waited for a task."))

    @property
    def _wanted(self) -> set[UUID]:
        return set().union(*(waiter.ids for waiter in self._waiters))

    async def _comes_another(self) -> bool:
        end = time.monotonic() + _LINGER
        while not self._wanted and (left := end - time.monotonic()) > 0:
            await self._hints.heard_within(left)
        return bool(self._wanted)

    async def _serve(self) -> None:
        """Look until nobody waits any more."""
        hints = self._hints
        listening = False
        pause = hints.first_pause
        look_at = 0.0
        while wanted := self._wanted:
            now = time.monotonic()
            asked = wanted if now >= look_at else self._new & wanted
            if asked:
                self._new -= asked
                came = await self._look(asked)
                took = time.monotonic() - now
                if asked is wanted:
                    pause = hints.first_pause if came else min(pause * 1.5, hints.longest_pause)
                    look_at = time.monotonic() + max(pause, took)
                if came:
                    continue
            if not listening:
                # Then look once more: what ended before was not told of.
                listening, look_at = True, 0.0
                await hints.listen()
                continue
            if await hints.heard_within(max(look_at - time.monotonic(), 0)):
                await asyncio.sleep(_BREATH)
                look_at = 0.0
            elif time.monotonic() >= look_at:
                await hints.listen()

    async def _look(self, asked: set[UUID]) -> bool:
        """Ask for the tasks *asked*, and tell who waits for them; whether any had ended."""
        came = False
        for chunk in chunks(list(asked), CHUNK):
            found = await self._store.run(endings_of, chunk)
            for waiter in list(self._waiters):
                came |= waiter.tell(set(chunk), found)
        return came

    def _give_up(self, error: Exception) -> None:
        waiters, self._waiters = self._waiters, set()
        self._new.clear()
        for waiter in waiters:
            # Each has an exception of its own, for each is raised.
            waiter.error = type(error)(str(error)) if isinstance(error, StoreError) else error
            waiter.told.set()
