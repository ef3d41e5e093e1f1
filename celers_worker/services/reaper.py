"""Reaper: takes back the tasks of lost workers. Every worker has one; there is no leader."""

from __future__ import annotations

from datetime import timedelta

from celers_worker.core.events import Events, FrozenSessionsEnded, TasksReaped
from celers_worker.services.service import Service
from celers_worker.store import Store, maintenance
from celers_worker.store.base import UpkeepDue

#: Looking through all tasks that run, for those whose worker's row is missing, is left to every
#: so-many-th tick: rows do not vanish by themselves.
_THOROUGH = 12


class Reaper(Service):
    """Asks for workers whose leases ran out, and gives their tasks back or buries them.

    And for sessions that would keep those tasks, and others, locked.
    """

    name = "reaper"

    def __init__(
        self,
        events: Events,
        store: Store,
        *,
        interval: float,
        max_crashes: int,
        stuck: timedelta = maintenance.STUCK,
    ) -> None:
        super().__init__(events, interval=interval)
        self._store = store
        self._max_crashes = max_crashes
        self._stuck = stuck
        self._ticks = 0

    async def tick(self) -> bool:
        """Reap a batch; True when there is another."""
        due = await self._store.upkeep_due()
        more = await self._reap(due)
        # After it, so that a server on which nobody may end sessions still has a reaper.
        if due.frozen_sessions and (ended := await self._store.end_frozen_sessions()):
            self.events.emit(FrozenSessionsEnded(ended))
        return more

    async def _reap(self, due: UpkeepDue) -> bool:
        thorough = self._ticks % _THOROUGH == 0
        if not thorough and not due.lost_workers:
            self._ticks += 1
            return False
        reaped = await self._store.run(
            maintenance.reap, max_crashes=self._max_crashes, orphans=thorough, stuck=self._stuck
        )
        if reaped.released or reaped.buried:
            self._store.levels.forget()
            self.events.emit(TasksReaped(reaped.released, reaped.buried))
        if not reaped.more:
            self._ticks += 1
        return reaped.more
