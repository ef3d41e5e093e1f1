"""Levels: what a worker knows of the due tasks, so that its claims walk only live index entries.

A level is one priority of one queue. Within it the due tasks are a range of the claim's index,
from a low-water mark to now. Behind the mark lie the index entries of tasks that were claimed:
dead, but not removed while anybody holds a snapshot. A plain claim walks them all again each time.

Marks are hints. A task committed late below its mark, or of a priority not seen yet, is found by
the next sweep, which runs when a claim comes back short and at least every second.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from celers_worker.core.task import FIRST, Demand, Task

#: Between sweeps under load, in seconds: how late a task below the mark may start.
SWEEP_INTERVAL = 1.0
#: Sweeps take no more than one part in so many of the time.
PATIENCE = 10
#: Tasks committed out of order by less than this need no sweep.
SLACK = timedelta(seconds=2)
#: A mark lies so long before what was found: to SQLite instants are text, and a producer of another
#: language may have written "12:00:00" for our "12:00:00.000000", which sorts behind it.
_BEFORE = timedelta(microseconds=1)
_EARLIEST = FIRST + _BEFORE

_LEVEL = attrgetter("queue", "priority")


@dataclass(slots=True)
class Level:
    """Due tasks of one priority of one queue, from ``mark`` on; ``room`` of them may be claimed."""

    queue: str
    priority: int
    mark: datetime
    room: int = 0


class Levels:
    """The due levels of the queues a worker serves."""

    def __init__(self) -> None:
        self._levels: list[Level] = []
        self._sweep_at = 0.0
        self._excluded: frozenset[str] = frozenset()
        self._due_at = math.inf

    def stale(self, demand: Demand) -> bool:
        """Whether a sweep is needed before a claim."""
        # A handler that has room again has tasks waiting behind the mark.
        freed = bool(self._excluded - demand.excluded)
        self._excluded = demand.excluded
        return freed or not self._levels or time.monotonic() >= self._sweep_at

    @property
    def next_due(self) -> float | None:
        """Seconds until the first known task that is not due yet, if there is one."""
        return None if self._due_at == math.inf else max(self._due_at - time.monotonic(), 0.0)

    def expect(self, seconds: float) -> None:
        """Take note that a task will be due in so many seconds."""
        self._due_at = min(self._due_at, time.monotonic() + seconds)

    def learn(
        self, rows: Iterable[tuple[str, int, datetime, datetime]], *, began: float | None = None
    ) -> None:
        """Take in a sweep: (queue, priority, when its first task is due, the database's now).

        *began*, by the monotonic clock: one that took long, for it walked what nobody could clean
        up, is not repeated so soon.
        """
        ended = time.monotonic()
        seconds = 0.0 if began is None else ended - began
        self._sweep_at = ended + max(SWEEP_INTERVAL, PATIENCE * seconds)
        self._levels, waits = [], []
        for queue, priority, first_due_at, now in rows:
            if first_due_at <= now:
                self._levels.append(Level(queue, priority, max(first_due_at, _EARLIEST) - _BEFORE))
            else:
                waits.append((first_due_at - now).total_seconds())
        self._due_at = ended + min(waits, default=math.inf)

    def due(self, demand: Demand) -> list[Level]:
        """The levels to claim from: highest priority first, then the one that waits longest.

        A queue with less room than the whole appears with its highest level only: claimed together,
        its levels could exceed its room. The next one has its turn when that one is drained.
        """
        chosen: list[Level] = []
        limited: set[str] = set()
        for level in sorted(self._levels, key=lambda level: (-level.priority, level.mark)):
            level.room = demand.room(level.queue)
            if level.room <= 0 or level.queue in limited:
                continue
            if level.room < demand.total:
                limited.add(level.queue)
            chosen.append(level)
        return chosen

    def advance(self, asked: Sequence[Level], claimed: Sequence[Task], demand: Demand) -> None:
        """Raise the marks past what was *claimed*, and drop the levels that gave all they had.

        Within a level, *claimed* is in the order of its times.
        """
        keys = [*map(_LEVEL, claimed)]
        newest, gave = dict(zip(keys, claimed, strict=True)), Counter(keys)
        for level in asked:
            found = newest.get((level.queue, level.priority))
            if found is not None:
                # Only near to now is anything committed out of order: a mark that lags in a backlog
                # walks all that was claimed of it lately, again with each claim.
                lag = found.started_at - SLACK
                level.mark = max(level.mark, min(found.scheduled_at, lag))
        counts = [gave[level.queue, level.priority] for level in asked]
        drained = self._drained(asked, counts, full=len(claimed) >= demand.total)
        self._levels = [level for level in self._levels if id(level) not in drained]

    @property
    def exhausted(self) -> bool:
        """Whether every level that the last sweep found has given all it had."""
        return not self._levels

    def forget(self) -> None:
        """Sweep before the next claim: something may have changed below the marks."""
        self._levels = []

    @staticmethod
    def _drained(asked: Sequence[Level], gave: Sequence[int], *, full: bool) -> set[int]:
        reached = len(asked)
        if full:
            # The last that gave something filled the claim: it and those behind it may have more.
            reached = max((index for index, count in enumerate(gave) if count), default=0)
        return {
            id(level)
            for level, count in zip(asked[:reached], gave[:reached], strict=True)
            if count < level.room
        }
