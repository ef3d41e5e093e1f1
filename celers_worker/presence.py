"""Presence: how one worker process is seen while it runs, by probes, systemd and its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import msgspec

from celers_worker import link as messages
from celers_worker.config import Config
from celers_worker.core.events import Events, WorkerRegistered, WorkerStarted, WorkerStopping
from celers_worker.core.pulse import Pulse
from celers_worker.link import Link
from celers_worker.observe.combined import snapshot
from celers_worker.observe.metrics import Metrics
from celers_worker.observe.notify import Notifier
from celers_worker.observe.pages import Pages, serving
from celers_worker.services.crew import Crew
from celers_worker.services.pulse import pulse_of
from celers_worker.store import Store


class Presence:
    """Shows a worker from before it reaches its database until it has left it.

    With a *link* the supervisor serves and notifies for all its processes; this one tells it.
    """

    def __init__(
        self,
        config: Config,
        events: Events,
        *,
        link: Link | None,
        notifier: Notifier | None,
        handlers: Iterable[str],
    ) -> None:
        self.state = "starting"
        self.reloads = 0
        self.metrics: Metrics | None = None
        self.port: int | None = None
        self._settings = config.metrics
        self._worker = config.worker.name
        self._events = events
        self._link = link
        self._notifier = notifier
        self._staff: tuple[Crew, Store] | None = None
        if config.metrics.port is not None:
            self.metrics = Metrics(
                events,
                handlers=handlers,
                queues=config.queue_limits,
                drain_target=config.metrics.drain_target.total_seconds(),
            )
        if link is not None:
            events.listen(WorkerRegistered, lambda event: link.tell_identity(event.worker))
        events.listen(WorkerStarted, lambda event: self._started())
        events.listen(WorkerStopping, lambda event: self._stopping())

    @property
    def counts_queues(self) -> bool:
        """Whether its crew should count the queues: one of several processes is enough."""
        return self.metrics is not None and (self._link is None or self._link.place == 1)

    def joined(self, crew: Crew, store: Store) -> None:
        """From now on it is *crew* whose pulse is felt."""
        self._staff = crew, store

    def pulse(self) -> Pulse:
        """What the worker says of itself now."""
        if self._staff is None:
            waits = "the database does not answer yet"
            return Pulse(
                worker=self._worker,
                pid=os.getpid(),
                state=self.state,
                problems=[waits],
                reloads=self.reloads,
            )
        crew, store = self._staff
        return pulse_of(crew, store, worker=self._worker, state=self.state, reloads=self.reloads)

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """A block in which the configuration is read again."""
        if self._notifier is not None:
            self._notifier.reloading()
        try:
            yield
        finally:
            self.reloads += 1
            if self._notifier is not None:
                self._notifier.reloaded()

    @contextlib.asynccontextmanager
    async def shown(self, *, on_lost: Callable[[], None]) -> AsyncIterator[None]:
        """The block in which the worker runs. *on_lost* is called if its supervisor is gone.

        Raises ConfigurationError if nothing can be served at the configured address.
        """
        async with contextlib.AsyncExitStack() as stack:
            if self._link is not None:
                await stack.enter_async_context(
                    self._link.held(on_lost=on_lost, report=self._report)
                )
            elif self.metrics is not None:
                pages = Pages(self.metrics.registry, lambda: [self.pulse()])
                self.port = await stack.enter_async_context(serving(self._settings, pages))
            if self._notifier is not None:
                beating = asyncio.create_task(self._beat(self._notifier), name="celers-notifier")
                stack.callback(self._notifier.close)
                stack.callback(beating.cancel)
            yield

    # --- inside ---

    async def _beat(self, notifier: Notifier) -> None:
        while True:
            pulse = self.pulse()
            notifier.beat([pulse], alive=pulse.alive, ready=pulse.ready)
            await asyncio.sleep(notifier.interval)

    def _report(self) -> dict[bytes, bytes]:
        report = {messages.PULSE: msgspec.json.encode(self.pulse())}
        if self.metrics is not None:
            report[messages.COUNTS] = snapshot(self.metrics.registry)
        return report

    def _started(self) -> None:
        self.state = "running"
        if self._link is not None:
            self._link.tell_ready()

    def _stopping(self) -> None:
        self.state = "stopping"
        if self._notifier is not None:
            self._notifier.stopping()
