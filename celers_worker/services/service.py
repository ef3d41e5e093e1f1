"""The one loop. Every long-lived task of the worker is a Service."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from abc import ABC, abstractmethod
from typing import ClassVar

from celers_worker.core.backoff import Backoff
from celers_worker.core.events import Events, ServiceFailed, ServiceRecovered

#: Between ticks that fail: soon at first, never longer than 5 s (promise 6), never in step.
_RECOVERY = Backoff(lambda failures: 0.1 * 2.0**failures, jitter="equal")
_LONGEST_PAUSE = 4.0
#: What a tick may take unless the crew says otherwise, in seconds.
PATIENCE = 45.0


def recovery_pause(failures: int) -> float:
    """How long to wait after so many failures in a row, in seconds."""
    return min(_RECOVERY.delay(failures).total_seconds(), _LONGEST_PAUSE)


class Service(ABC):
    """Calls ``tick`` again and again until stopped.

    A tick that raises is reported, and the next one waits longer. A tick that says there is more
    to do is followed at once.
    """

    name: ClassVar[str]
    #: Whether stopping cancels a tick; the others are let to finish theirs, which are short.
    interruptible: ClassVar[bool] = False

    def __init__(self, events: Events, *, interval: float) -> None:
        self.events = events
        self.interval = interval
        self.silence = 0.0
        """How long one tick may rightly wait for something to happen, in seconds."""
        self.patience = PATIENCE
        """A tick that takes longer is stuck, in seconds: its calls are bounded, so none should."""
        self.eager = False
        """Whether a tick that leaves more to do is followed before anybody else has the loop. Only
        for one that has waited for something."""
        self.ticked_at = time.monotonic()
        """When a tick last ended well, by the monotonic clock."""
        self.failing = False
        """Whether the last tick raised."""
        self._due_at = math.inf
        self._woken = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def stuck(self) -> bool:
        """Whether the loop stands still, or has ended unasked.

        A tick that raises is no standstill: a database that is away is not mended by a restart.
        """
        if self._task is None or self._stopping:
            return False
        return self._task.done() or time.monotonic() > self._due_at

    def progress(self, expected: float = 0.0) -> None:
        """Take note that the loop moves, and will again within *expected* seconds and patience.

        For a tick of many calls to say between them.
        """
        self._due_at = time.monotonic() + expected + self.patience

    @abstractmethod
    async def tick(self) -> bool:
        """Do one round of work; True when there may be more right now."""

    def pause(self) -> float:
        """How long to rest after a tick that left nothing to do, in seconds."""
        return self.interval

    async def start(self) -> None:
        """Start the loop in a task named after the service."""
        self._stopping = False
        self._task = asyncio.create_task(self._loop(), name=f"celers-{self.name}")

    async def stop(self) -> None:
        """End the loop, after the tick in progress."""
        self._stopping = True
        self._woken.set()
        if self._task is not None:
            if self.interruptible:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def wake(self) -> None:
        """Tick now instead of after the pause."""
        self._woken.set()

    async def _loop(self) -> None:
        failures = 0
        while not self._stopping:
            self._woken.clear()
            self.progress(self.silence)
            try:
                more = await self.tick()
            except Exception as error:  # a loop outlives whatever its tick meets
                failures += 1
                self.failing = True
                pause = recovery_pause(failures)
                self.events.emit(ServiceFailed(self.name, error, failures, pause))
                # Not to be woken: whoever wakes us cannot know that the database is away.
                await self._rest(pause, wakeable=False)
                continue
            self.ticked_at = time.monotonic()
            self.failing = False
            if failures:
                self.events.emit(ServiceRecovered(self.name, failures))
                failures = 0
            if not more:
                await self._rest(self.pause())
            elif not self.eager:
                await asyncio.sleep(0)  # let the others have the loop

    async def _rest(self, seconds: float, *, wakeable: bool = True) -> None:
        if not wakeable:
            self._woken.clear()
        self.progress(seconds)
        end = time.monotonic() + seconds
        while not self._stopping and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()
            if wakeable:
                return
            self._woken.clear()
