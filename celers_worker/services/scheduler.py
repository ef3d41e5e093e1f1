"""Scheduler: enqueues what is scheduled. Every worker has one; there is no leader."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from celers_worker.core.events import (
    Events,
    SchedulesDeclared,
    ScheduleUnreadable,
    TasksEnqueued,
    TicksFired,
    TicksMissed,
    TicksOverlapped,
)
from celers_worker.core.schedule import Schedule
from celers_worker.services.service import Service
from celers_worker.store import Store, schedules

#: Something is due, but another worker is at it, or its last task has not ended: look again soon.
_HELD = 1.0
#: The database's clock is not ours: what is due in no time is not asked for without a pause.
_SHORTEST = 0.005
#: So often the workers say, together, that they still declare what they declare.
_SEEN = timedelta(minutes=5)
#: What could not be read is tried again after this time, in seconds: somebody may have mended it.
_FORGIVEN = 60.0


class Scheduler(Service):
    """Sleeps until the next tick, and asks one statement to know when that is.

    All workers may deal with a tick at once: its row, written with its task, is for one of them.
    """

    name = "scheduler"

    def __init__(
        self, events: Events, store: Store, declared: Sequence[Schedule], *, interval: float
    ) -> None:
        """*interval*: the longest wait between two looks, in seconds."""
        super().__init__(events, interval=interval)
        self._store = store
        self._declared = list(declared)
        self._names = [schedule.name for schedule in declared]
        self._has_declared = not declared
        self._unreadable: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._forgive_at = 0.0
        self._due_in: float | None = None

    def redeclare(self, declared: Sequence[Schedule]) -> None:
        """Declare these from now on, and fire no others of the code or the configuration."""
        self._declared = list(declared)
        self._names = [schedule.name for schedule in declared]
        self._has_declared = not declared
        self.wake()

    async def tick(self) -> bool:
        """Deal with what is due; True when there may be more."""
        if time.monotonic() >= self._forgive_at:
            self._unreadable.clear()
            self._forgive_at = time.monotonic() + _FORGIVEN
        if not self._has_declared:
            await self._declare()
        if not self._names:
            due = await self._store.upkeep_due(within=1.5 * self.interval)
            if not due.schedules:
                self._due_in = None
                return False
        looked = await self._store.run(schedules.look, self._names, self._unreadable)
        if looked.present < len(set(self._names) - self._unreadable.keys()):
            await self._declare()  # somebody has removed a row that we declare
            return True
        if (looked.unseen or 0.0) > _SEEN.total_seconds():
            await self._store.run(schedules.see, self._names, ago=_SEEN / 2)
        self._due_in = looked.due_in
        if looked.due_in is None or looked.due_in > 0:
            return False
        return await self._deal()

    def pause(self) -> float:
        """Until the next tick, at most the interval."""
        if self._due_in is None:
            return self.interval
        due_in = self._due_in if self._due_in > 0 else _HELD
        return min(self.interval, max(due_in, _SHORTEST))

    # --- inside ---

    async def _declare(self) -> None:
        changed = await self._store.run(schedules.declare, self._declared)
        self._has_declared = True
        if changed:
            self.events.emit(SchedulesDeclared(changed))

    async def _deal(self) -> bool:
        began = time.perf_counter()
        done = await self._store.run(schedules.tick, self._names, self._unreadable)
        counts: Counter[tuple[str, str]] = Counter()
        for dealt in done.dealt:
            counts.update((task.queue, task.name) for task in dealt.tasks)
            self._tell(dealt)
        if counts:
            self.events.emit(TasksEnqueued(counts, time.perf_counter() - began))
        for name, problem in done.unreadable.items():
            self._unreadable[name] = problem
            if (name, problem) not in self._told:
                self._told.add((name, problem))
                self.events.emit(ScheduleUnreadable(name, problem))
        return bool(done.dealt or done.unreadable)

    def _tell(self, dealt: schedules.Dealt) -> None:
        name = dealt.schedule
        if dealt.tasks:
            ids = [task.id for task in dealt.tasks]
            self.events.emit(TicksFired(name, ids, dealt.lateness))
        if dealt.missed is not None:
            since = dealt.missed.since or dealt.missed.at
            self.events.emit(TicksMissed(name, since, dealt.missed.at))
        if dealt.overlapped:
            self.events.emit(TicksOverlapped(name, len(dealt.overlapped)))
