"""Lanes: asyncio tasks in which handlers run, one after another.

A task for each handler would cost more than a short handler itself. So a lane goes on with what
waits until a handler suspends; then the next lane does. A handler still runs inside a task, and
nothing of it reaches the next one: a lane ends behind a run that was cancelled or that changed a
context variable.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context

import msgspec

from celers_worker.core.context import Context
from celers_worker.core.run_log import runs_here
from celers_worker.services.run import Run

#: So long a lane runs handlers that never suspend, in seconds, before the loop has its turn.
TURN = 0.005


class Lanes:
    """Runs what is added, in its order, at most ``limit`` at a time."""

    def __init__(
        self,
        execute: Callable[[Run], Awaitable[None]],
        *,
        limit: int,
        rested: Callable[[], None] = lambda: None,
    ) -> None:
        """*rested* is called when a lane ends or has suspended, for what its runs left to do."""
        self.limit = limit
        self.running = 0
        """How many runs have begun and not left."""
        self._execute = execute
        self._rested = rested
        self._waiting: deque[Run] = deque()
        # On Python 3.11 to ask for it is a system call, which took a sixth of a task's time.
        self._loop = asyncio.get_running_loop()
        self._lanes: set[asyncio.Task[None]] = set()  # the loop itself keeps tasks only weakly
        self._coming = 0
        self._moved_at = 0.0
        self._context = copy_context()

    @property
    def ahead(self) -> list[Run]:
        """The runs for which there is no room yet; the others begin in the loop's next turns."""
        waiting = [run for run in self._waiting if not run.settled]
        return waiting[max(self.limit - self.running, 0) :]

    def stuck(self, patience: float) -> bool:
        """Whether nothing has begun for so many seconds, though there is something, and room."""
        waits = self.running < self.limit and any(not run.settled for run in self._waiting)
        return waits and time.monotonic() - self._moved_at > patience

    def add(self, run: Run) -> None:
        """Run *run* when those before it have begun and there is room. ``summon`` must follow."""
        if not self._waiting:
            self._moved_at = time.monotonic()
        self._waiting.append(run)

    def leave(self, run: Run) -> None:
        """Take note that a run ended; one that had not begun is passed over."""
        self.running -= run.execution is not None

    def summon(self, wanted: int = 1) -> None:
        """See to it that so many lanes come for what waits, as far as there is room."""
        wanted = min(wanted, len(self._waiting), self.limit - self.running)
        while self._coming < wanted:
            self._coming += 1
            self._moved_at = time.monotonic()
            lane = self._loop.create_task(
                self._lane(), name="celers-lane", context=self._context.copy()
            )
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _lane(self) -> None:
        self._coming -= 1
        lane = asyncio.current_task(self._loop)
        assert lane is not None, "a lane is a task"
        turn = _Turn(lane)
        # Called when this lane suspends for the first time, before anything can resume it.
        self._loop.call_soon(self._look, turn)
        runs_here(turn.context)
        untouched = copy_context()
        ends = time.monotonic() + TURN
        while self._waiting and self.running < self.limit:
            run = self._waiting.popleft()
            if run.settled:  # it was cancelled, or its lease was lost
                continue
            self.running += 1
            run.execution = lane
            run.started = self._moved_at = time.monotonic()
            turn.run = run
            await self._execute(run)
            turn.run = None
            if turn.over or run.started > ends or lane.cancelling() or copy_context() != untouched:
                break
        self._rested()
        self.summon()

    def _look(self, turn: _Turn) -> None:
        """Name a lane after the task for which it is suspended, and let others go on.

        As many as are under way: so a thousand handlers that all wait for something begin soon,
        and for a thousand that do not one lane is enough.
        """
        turn.over = True
        self._rested()
        if turn.run is not None:
            turn.lane.set_name(f"celers-task-{turn.run.task.id}")
            self.summon(self.running)


class _Turn(msgspec.Struct, eq=False):
    """What a lane is at, until it suspends for the first time."""

    lane: asyncio.Task[None]
    run: Run | None = None
    over: bool = False

    def context(self) -> Context | None:
        """That of the run for which the lane works now."""
        return None if self.run is None else self.run.context
