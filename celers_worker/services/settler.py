"""Settler: writes outcomes in batches, and keeps each until the database has answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence, Set
from uuid import UUID

from celers_worker.core.errors import Refused, Unavailable
from celers_worker.core.events import Events, SettleRefused, TasksSettled
from celers_worker.core.outcome import Dead, Settlement, failure_of
from celers_worker.services.hooks import Settle
from celers_worker.services.identity import Identity
from celers_worker.services.run_logs import RunLogs
from celers_worker.services.service import Service


class Settler(Service):
    """One write for many outcomes: those that end within ``window``, or that wait for the last one.

    An outcome is repeated until it is answered; its lease makes that safe. So a write that is
    refused the first time came from a lease that was lost; one refused later may be our own, whose
    answer was lost, and is not counted.
    """

    name = "settler"

    def __init__(
        self,
        events: Events,
        settle: Settle,
        identity: Identity,
        logs: RunLogs,
        *,
        window: float,
        batch: int,
    ) -> None:
        super().__init__(events, interval=1.0)
        self._settle = settle
        self._identity = identity
        self._logs = logs
        self._window = window
        self._batch = batch
        self._waiting: deque[Settlement] = deque()
        self._written = 0
        # What had come at which time: how long the oldest has waited costs nothing for each.
        self._marks: deque[tuple[int, float]] = deque()
        self._repeated: set[UUID] = set()
        self._on_written: Callable[[], None] = lambda: None

    def on_written(self, callback: Callable[[], None]) -> None:
        """Call *callback* whenever outcomes have been written."""
        self._on_written = callback

    @property
    def backlog(self) -> int:
        """How many outcomes are not written yet."""
        return len(self._waiting)

    @property
    def written(self) -> int:
        """How many outcomes have been written, or refused."""
        return self._written

    @property
    def lag(self) -> float:
        """For how long the oldest outcome that is not written has been waiting, in seconds."""
        return time.monotonic() - self._marks[0][1] if self._waiting and self._marks else 0.0

    def unsettled(self) -> set[UUID]:
        """The ids of the tasks whose outcomes are not written yet."""
        return {settlement.task.id for settlement in self._waiting}

    def put(self, settlement: Settlement) -> None:
        """Take an outcome to write."""
        self._waiting.append(settlement)
        if len(self._waiting) == 1:  # with more it is at work, and goes on until there is none
            self.wake()

    async def tick(self) -> bool:
        """Write the oldest outcomes."""
        if not self._waiting:
            return False
        if len(self._waiting) < self._batch and self._window:
            await asyncio.sleep(self._window)
        self._mark()
        batch = list(itertools.islice(self._waiting, self._batch))
        try:
            await self._write(batch)
        except (Unavailable, Refused):  # it is not for the outcomes that the database says no
            raise
        except Exception:  # drivers refuse values with errors of their own too
            await self._write_one_by_one(batch)
        else:
            for _ in batch:
                self._waiting.popleft()
            self._written += len(batch)
        while self._marks and self._marks[0][0] <= self._written:
            self._marks.popleft()
        self._on_written()
        return bool(self._waiting)

    async def flush(self, seconds: float) -> bool:
        """Write everything, for at most so long, after the loop has ended; True if all is."""
        end = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end:
            try:
                await self.tick()
            except Exception:  # told before; the time is what bounds this
                await asyncio.sleep(min(0.2, max(end - time.monotonic(), 0)))
        return not self._waiting

    def _mark(self) -> None:
        come = self._written + len(self._waiting)
        if not self._marks or self._marks[-1][0] < come:
            self._marks.append((come, time.monotonic()))

    async def _write(self, batch: Sequence[Settlement]) -> None:
        began = time.perf_counter()
        try:
            # Before: who sees that a task has ended sees its log too.
            await self._logs.write_of((one.task.id, one.task.lease) for one in batch)
            settled = await self._settle(self._identity.id, batch)
        except Unavailable:
            self._repeated.update(settlement.task.id for settlement in batch)
            raise
        seconds = time.perf_counter() - began
        if len(settled) == len(batch):
            self.events.emit(TasksSettled(batch, seconds))
        else:
            self._tell_apart(batch, settled, seconds)
        if self._repeated:
            self._repeated.difference_update(settlement.task.id for settlement in batch)

    def _tell_apart(self, batch: Sequence[Settlement], settled: Set[UUID], seconds: float) -> None:
        written = [one for one in batch if one.task.id in settled]
        refused = [one for one in batch if one.task.id not in settled | self._repeated]
        if written:
            self.events.emit(TasksSettled(written, seconds))
        if refused:
            self.events.emit(SettleRefused(refused))

    async def _write_one_by_one(self, batch: Sequence[Settlement]) -> None:
        """The database cannot store one of them: find it, and bury that task instead."""
        for settlement in batch:
            try:
                await self._write([settlement])
            except (Unavailable, Refused):
                raise
            except Exception as error:  # of the driver, whatever it refuses
                dead = Dead("its outcome cannot be stored", failure_of(error))
                await self._write([Settlement(settlement.task, dead)])
            self._waiting.popleft()
            self._written += 1
