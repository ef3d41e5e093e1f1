"""Janitor: the upkeep of every queue, done by one worker at a time.

Retention in batches, the archive's partitions, and the duties that are due now and then. Every
worker has a janitor; the one that holds the lease in the database works, the others look whether it
still does. One that dies falls silent, and another takes over.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from celers_worker.core.errors import StoreError
from celers_worker.core.events import DutyDone, Events, TasksPruned
from celers_worker.core.pace import Pace
from celers_worker.core.task import new_id
from celers_worker.services.service import Service
from celers_worker.store import Store, housekeeping, pruning, schedules, upkeep

#: A janitor that is silent for so many of its intervals is gone.
_SILENCE = 3
_SHORTEST_LEASE = timedelta(minutes=1)
#: Pruning takes no more than one part in so many of the time.
_PATIENCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepPlan:
    """What is kept how long, and how often the duties are due; a duty due after 0s is off."""

    retention: Mapping[str, timedelta]
    by_queue: Mapping[str, Mapping[str, timedelta]] = field(default_factory=dict)
    archive_interval: timedelta = timedelta(days=1)
    archive_after: timedelta = timedelta(days=1)
    analyze_interval: timedelta = timedelta(days=7)


class Janitor(Service):
    """Prunes at every tick that has the upkeep, and does what else is due."""

    name = "janitor"

    def __init__(self, events: Events, store: Store, *, interval: float, plan: UpkeepPlan) -> None:
        super().__init__(events, interval=interval)
        self._store = store
        self._plan = plan
        self._id = str(new_id())
        self._lease = max(_SILENCE * timedelta(seconds=interval), _SHORTEST_LEASE)
        self._pace = Pace()
        self._seconds = 0.0

    async def tick(self) -> bool:
        """Prune a batch; True when there is another. Does nothing while another janitor works."""
        if not await self._store.run(upkeep.hold, self._id, self._lease):
            return False
        plan = self._plan
        began = time.monotonic()
        await self._store.run(pruning.keep_partitions, plan.retention, by_queue=plan.by_queue)
        self.progress()
        limit = self._pace.size
        counts = await self._store.run(
            pruning.prune, plan.retention, by_queue=plan.by_queue, limit=limit
        )
        self.progress()
        kept = plan.retention["ticks"]
        counts["ticks"] = await self._store.run(schedules.prune, kept, limit=limit)
        self._seconds = time.monotonic() - began
        self._pace.took(self._seconds)
        if any(counts.values()):
            self.events.emit(TasksPruned(counts))
        if any(count >= limit for count in counts.values()):
            return True
        self.progress()
        await self._do_duties()
        return False

    def pause(self) -> float:
        """Longer after a look that took long: what is kept for longer is walked past each time."""
        longest = self._lease.total_seconds() / 2
        return max(self.interval, min(_PATIENCE * self._seconds, longest))

    async def stop(self) -> None:
        """End the loop, and let another janitor have the upkeep at once."""
        await super().stop()
        with contextlib.suppress(StoreError):  # the lease ends by itself
            await self._store.run(upkeep.release, self._id)

    async def _do_duties(self) -> None:
        plan = self._plan
        every = {
            name: interval
            for name, interval in (
                ("archive", plan.archive_interval),
                ("analyze", plan.analyze_interval),
            )
            if interval
        }
        for duty in await self._store.run(upkeep.begin, list(every)):
            count = await self._archive() if duty == "archive" else await self._analyze()
            await self._store.run(upkeep.finish, duty, every[duty])
            self.events.emit(DutyDone(duty, count))

    async def _archive(self) -> int:
        moved = 0
        while batch := await self._store.run(
            housekeeping.archive_ended, self._plan.archive_after, limit=self._pace.size
        ):
            moved += batch
            self.progress()
            await self._store.run(upkeep.hold, self._id, self._lease)
        return moved

    async def _analyze(self) -> int:
        await self._store.run(lambda transaction: transaction.analyze())
        return 0
