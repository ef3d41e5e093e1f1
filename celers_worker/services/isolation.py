"""Isolation: a suspect runs alone, so that it takes nobody along, and nobody takes it.

When a worker dies, nobody knows which of its tasks did it. All of them run again; but one whose
next crash would bury it has its last chance alone: the innocent completes, the poison is known.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from celers_worker.core.task import Task

if TYPE_CHECKING:
    from celers_worker.services.run import Run

#: A suspect waits so long, in seconds, for what runs beside it to end, and then runs all the same:
#: a worker that waited for an hour's task would serve nobody.
PATIENCE = 10.0
#: What kills its worker mostly does so at once. After so many seconds others may run beside it.
QUARANTINE = 30.0
#: A worker holds one suspect; another would die with it. It is given back for so long.
LATER = timedelta(seconds=2)


class Isolation:
    """Keeps one suspect until it can run alone, and others away while it does."""

    def __init__(self, max_crashes: int) -> None:
        self._last_chance = max(max_crashes - 1, 1)
        self._waiting: Run | None = None
        self._inside: Run | None = None
        self._since = 0.0

    def suspects(self, task: Task) -> bool:
        """Whether *task* would be buried by one more crash."""
        return task.crash_count >= self._last_chance

    @property
    def closed(self) -> bool:
        """Whether nothing else may be started."""
        if self._waiting is not None:
            return True
        return self._inside is not None and time.monotonic() - self._since < QUARANTINE

    def hold(self, run: Run) -> None:
        """Keep a suspect; only when not ``closed``."""
        self._waiting, self._since = run, time.monotonic()

    def admit(self, others: int) -> Run | None:
        """The suspect, if it may start now that so many *others* run."""
        run = self._waiting
        if run is None or (others and time.monotonic() - self._since < PATIENCE):
            return None
        self._waiting, self._inside, self._since = None, run, time.monotonic()
        return run

    def left(self, run: Run) -> None:
        """Forget a run that ended, also one that was still waiting for its turn."""
        if self._inside is run:
            self._inside = None
        if self._waiting is run:
            self._waiting = None
