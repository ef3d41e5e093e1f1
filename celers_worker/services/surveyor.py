"""Surveyor: counts the queues for the gauges, when somebody reads them."""

from __future__ import annotations

from celers_worker.core.events import Events, QueuesCounted
from celers_worker.services.service import Service
from celers_worker.store import Store, survey


class Surveyor(Service):
    """Runs only where metrics are served."""

    name = "surveyor"

    def __init__(self, events: Events, store: Store, *, interval: float) -> None:
        super().__init__(events, interval=interval)
        self._store = store

    async def tick(self) -> bool:
        """Count once."""
        queues = await self._store.run(survey.list_queues)
        workers = await self._store.run(survey.list_workers)
        living = [worker for worker in workers if worker.state != "lost"]
        self.events.emit(
            QueuesCounted(
                pending={queue.name: queue.pending for queue in queues},
                processing={queue.name: queue.processing for queue in queues},
                oldest_pending={queue.name: queue.oldest_pending or 0.0 for queue in queues},
                dead=sum(queue.dead for queue in queues),
                workers=len(living),
                scheduled={queue.name: queue.scheduled for queue in queues},
                blocked={queue.name: queue.blocked for queue in queues},
                busy=sum(worker.running > 0 for worker in living),
                room=sum(worker.concurrency for worker in living),
            )
        )
        return False
