"""Janitor: removes what is past its retention, in batches, and keeps the archive's partitions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from celers_worker.core.events import Events, TasksPruned
from celers_worker.services.service import Service
from celers_worker.store import Store, maintenance, schedules

_BATCH = 1_000


class Janitor(Service):
    """Several may run at once: each takes rows that no other has locked."""

    name = "janitor"

    def __init__(
        self,
        events: Events,
        store: Store,
        *,
        interval: float,
        retention: Mapping[str, timedelta],
        ticks: timedelta,
    ) -> None:
        super().__init__(events, interval=interval)
        self._store = store
        self._retention = retention
        self._ticks = ticks

    async def tick(self) -> bool:
        """Prune a batch; True when there is another."""
        await self._store.run(maintenance.keep_partitions, self._retention)
        counts = await self._store.run(maintenance.prune, self._retention, limit=_BATCH)
        counts["ticks"] = await self._store.run(schedules.prune, self._ticks, limit=_BATCH)
        if any(counts.values()):
            self.events.emit(TasksPruned(counts))
        return any(count >= _BATCH for count in counts.values())
