"""Conductor: sees that no workflow hangs. Every worker has one; there is no leader."""

from __future__ import annotations

from celers_worker.core.events import Events, WorkflowsTimedOut
from celers_worker.services.service import Service
from celers_worker.store import Store
from celers_worker.store.workflow import mending

#: Looking through all tasks for blocked ones that no workflow knows is left to every so-many-th
#: tick: the rows of a workflow do not vanish by themselves.
_THOROUGH = 120


class Conductor(Service):
    """Stops workflows at their deadlines, and mends what an interruption may have left behind.

    What waits is unblocked when its parents are settled, and not here: this finds what that could
    not know of, such as a parent that ended before its child was adopted.
    """

    name = "conductor"

    def __init__(self, events: Events, store: Store, *, interval: float) -> None:
        super().__init__(events, interval=interval)
        self._store = store
        self._ticks = 0

    async def tick(self) -> bool:
        """Look at a batch of workflows; True when so many were overdue that there may be more."""
        self._ticks += 1
        if self._ticks % _THOROUGH == 0:
            await self._store.run(mending.free_stranded)
        # The reaper asks as often: its answer will do.
        elif not (await self._store.upkeep_due(within=1.5 * self.interval)).workflows:
            return False
        mended = await self._store.run(mending.reconcile)
        if mended.timed_out:
            self.events.emit(WorkflowsTimedOut(mended.timed_out))
        return bool(mended.timed_out)
