"""Isolation: a suspect runs alone, so that it takes nobody along, and nobody takes it.

When a worker dies, nobody knows which of its tasks did it. All of them run again; but one whose
next crash would bury it has its last chance alone: the innocent completes, the poison is known.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from celers_worker.core.outcome import is_suspect
from celers_worker.core.task import Task

if TYPE_CHECKING:
    from celers_worker.services.run import Run

#: A suspect waits so long, in seconds, for what runs beside it to end, and then runs all the same:
#: a worker that waited for an hour's task would serve nobody. Behind another suspect it does not
#: wait for longer, but goes where it may find room.
PATIENCE = 10.0
#: What kills its worker mostly does so at once. After so many seconds others may run beside it.
QUARANTINE = 30.0


class Isolation:
    """Keeps suspects until each can run alone, and others away while it does."""

    def __init__(self, max_crashes: int) -> None:
        self._max_crashes = max_crashes
        self._waiting: deque[Run] = deque()
        self._inside: Run | None = None
        self._held_at = self._begun_at = 0.0

    def suspects(self, task: Task) -> bool:
        """Whether *task* would be buried by one more crash."""
        return is_suspect(task.crash_count, self._max_crashes)

    @property
    def closed(self) -> bool:
        """Whether nothing else may be started."""
        if self._waiting:
            return True
        return self._inside is not None and time.monotonic() - self._begun_at < QUARANTINE

    def hold(self, run: Run) -> None:
        """Keep a suspect until it is its turn."""
        if not self._waiting:
            self._held_at = time.monotonic()
        self._waiting.append(run)

    def due(self, runs: int) -> Run | None:
        """The suspect that may start now that there are so many *runs*, those that wait too."""
        others = runs - len(self._waiting)
        if not self._waiting or (others and time.monotonic() - self._held_at < PATIENCE):
            return None
        return self._waiting[0]

    def admit(self) -> Run | None:
        """The next suspect, which starts now; None if it was told to end meanwhile."""
        if not self._waiting:
            return None
        run = self._inside = self._waiting.popleft()
        self._held_at = self._begun_at = time.monotonic()
        return run

    def overdue(self) -> list[Run]:
        """The suspects that have waited for too long behind another one."""
        if self._inside is None or time.monotonic() - self._begun_at < PATIENCE:
            return []
        return list(self._waiting)

    def left(self, run: Run) -> None:
        """Forget a run that ended, also one that was still waiting for its turn."""
        if self._inside is run:
            self._inside = None
        elif run in self._waiting:
            self._waiting.remove(run)
