"""Listener: wakes the poller when the database tells of new tasks; a hint, polling is the truth."""

from __future__ import annotations

import time
from contextlib import aclosing

from celers_worker.core.events import Events
from celers_worker.services.heartbeat import Heartbeat
from celers_worker.services.poller import Poller
from celers_worker.services.service import Service
from celers_worker.store import SILENCE, Store


class Listener(Service):
    """One tick lasts as long as the connection that tells."""

    name = "listener"
    interruptible = True

    def __init__(
        self,
        events: Events,
        store: Store,
        poller: Poller,
        heartbeat: Heartbeat,
        *asked: Service,
    ) -> None:
        """*asked*: services besides the heartbeat that look at what a person asked for."""
        super().__init__(events, interval=1.0)
        self.silence = SILENCE + store.options.poll_backoff.total_seconds()
        self._store = store
        self._poller = poller
        self._asked = (heartbeat, *asked)
        store.on_announced(poller.wake)

    async def tick(self) -> bool:
        """Pass the hints on until the connection breaks."""
        async with aclosing(self._store.wakeups()) as wakeups:
            async for wakeup in wakeups:
                self.progress(self.silence)
                self.ticked_at = time.monotonic()
                if wakeup.tasks:
                    self._poller.wake()
                if wakeup.control:
                    for service in self._asked:
                        service.wake()
        return False
