"""Worker: builds the services and runs them, in one readable order.

Services start top to bottom and stop bottom to top: the poller is the last one in and the first
one out, the heartbeat holds the leases until everything else is done.

    store      connected for as long as anything runs
    heartbeat  keeps this worker's lease; the watchdog does while the loop is blocked
    settler    writes outcomes
    reaper     takes back the tasks of the lost
    janitor    prunes
    scheduler  enqueues what schedules say, in a worker that runs for ever
    surveyor   counts for the metrics, where they are served
    runner     drains here, with the settler and the heartbeat still up
    poller     claims
    listener   wakes the poller
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self

from celers_worker.app import Celers
from celers_worker.app.locating import module_of
from celers_worker.config import Config
from celers_worker.config.reloading import reload_of
from celers_worker.core.errors import ConfigurationError, StoreError
from celers_worker.core.events import (
    Events,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from celers_worker.core.orders import WorkerState
from celers_worker.core.process_events import (
    ClaimingResumed,
    ClaimingStopped,
    ConfigurationReloaded,
    ReloadRefused,
)
from celers_worker.core.registry import Registry
from celers_worker.link import Link
from celers_worker.observe.kept_lines import keeping
from celers_worker.observe.logs import task_log
from celers_worker.observe.notify import Notifier
from celers_worker.observe.redaction import hide_secrets_of
from celers_worker.presence import Presence
from celers_worker.services.crew import Crew, Work
from celers_worker.services.draining import Until as Until
from celers_worker.services.draining import ending_of
from celers_worker.services.host import Offers
from celers_worker.services.opening import open_store
from celers_worker.services.surroundings import Surroundings
from celers_worker.store import Store, maintenance, make_store

#: Why nothing is claimed after SIGTSTP.
_TOLD = "the process was told to be quiet"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker ended: tasks given back unfinished, and handlers that never stopped."""

    released: int
    abandoned: int


class Worker:
    """One worker process. ``run`` returns when every claimed task is settled or given back."""

    def __init__(
        self,
        app: Celers,
        config: Config | None = None,
        *,
        until: Until = "forever",
        events: Events | None = None,
        fail_fast: bool = False,
        upkeep: bool = True,
        link: Link | None = None,
        notifier: Notifier | None = None,
        reread: Callable[[], Config] | None = None,
    ) -> None:
        """Without a *config* the worker takes that of *app*.

        *fail_fast*: ``run`` raises Unavailable if the database is away, and does not wait.

        Without *upkeep* it neither reaps nor prunes, for that is work on the rows of every queue.
        *link* leads to the supervisor of this process, which serves the metrics; *notifier* to
        systemd. *reread* returns the configuration as it is by then; ``reload`` calls it.
        """
        self.events = events or Events()
        self._until = until
        self._fail_fast = fail_fast
        self._reread = reread
        self._upkeep = upkeep
        # What its handlers enqueue goes to the database that it serves, and is counted.
        app.client.config = config or app.client.own_config
        self.config = app.client.config
        app.client.events = self.events
        self._app = app
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ready = asyncio.Event()
        self._reason = ""
        hide_secrets_of(self.config.database.url)
        self._crew: Crew | None = None
        self._quiet = False
        self._link = link
        self.presence = Presence(
            self.config,
            self.events,
            link=link,
            notifier=notifier,
            handlers=[handler.name for handler in app.registry],
        )

    @property
    def metrics_port(self) -> int | None:
        """The port where metrics and health are served, if they are."""
        return self.presence.port

    def stop(self, reason: str = "asked to stop") -> None:
        """Ask for a clean end. The second call releases what runs without waiting for it."""
        if self._stop.is_set():
            self._hurry.set()
        self._reason = self._reason or reason
        self._stop.set()

    def quiet(self) -> None:
        """Claim no more until ``resume``; what runs goes on."""
        self._quiet = True
        if self._crew is not None and self._crew.control.turn(WorkerState.QUIET):
            self.events.emit(ClaimingStopped(_TOLD, len(self._crew.runner.runs)))

    def resume(self) -> None:
        """Claim again after ``quiet``."""
        self._quiet = False
        if self._crew is not None and self._crew.control.turn(WorkerState.RUNNING):
            self.events.emit(ClaimingResumed(_TOLD))

    def print_stacks(self) -> None:
        """Log where every running task is. A signal's handler may call it at any moment."""
        if self._crew is not None:
            self._crew.watchdog.want_stacks()

    def reload(self) -> None:
        """Read the configuration again, and go on by what of it a running worker can take over.

        If it has become wrong, the old one holds, and the log says what is wrong.
        """
        if self._reread is None:
            return
        with self.presence.reloading():
            try:
                found = reload_of(self.config, self._reread())
                self._adopt(found.config)
            except ConfigurationError as error:
                self.events.emit(ReloadRefused(error.problems))
                return
            self.events.emit(
                ConfigurationReloaded(found.changed, found.waiting, found.config.log.level)
            )

    async def run(self) -> Ending:
        """Run until stopped; waits for a database that is away.

        Raises Refused or SchemaError if the database will not do until a person has acted.
        """
        store = make_store(self.config.database.url, self._app.client.options)
        try:
            async with self.presence.shown(on_lost=lambda: self.stop("its supervisor is gone")):
                if not await open_store(store, self.events, self._stop, fail_fast=self._fail_fast):
                    self.events.emit(WorkerStopping(self._reason, 0))
                    return Ending(0, 0)
                with keeping():
                    async with self._app.extensions.opened() as resources:
                        return await self._run(store, resources)
        finally:
            await store.close()

    async def __aenter__(self) -> Self:
        """Run inside an application: the block is the worker's life."""
        self._embedded = asyncio.create_task(self.run(), name="celers-worker")
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._embedded, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            self._embedded.result()
        return self

    async def ended(self) -> Ending:
        """Wait inside the block until the worker has ended, because somebody stopped it."""
        return await asyncio.shield(self._embedded)

    async def __aexit__(self, *details: object) -> None:
        self.stop("its application left the block")
        await self._embedded

    # --- inside ---

    async def _run(self, store: Store, resources: Mapping[str, Any]) -> Ending:
        # Other workers may have been made since this one.
        self._app.client.config = self.config
        extensions = self._app.extensions
        self._surroundings = Surroundings(
            middleware=extensions.middleware, permits=extensions.permits, resources=resources
        )
        registry = self._registry()
        for_ever = self._upkeep and self._until == "forever"
        crew = Crew.built(
            Work(
                config=self.config,
                events=self.events,
                store=store,
                registry=registry,
                counted=self.presence.counts_queues,
                upkeep=self._upkeep,
                offers=Offers(
                    enqueue=self._app.client.enqueue,
                    enqueue_sync=self._app.client.enqueue_sync,
                    log=task_log,
                    resources=resources,
                ),
                middleware=extensions.middleware,
                modules={one.name: module_of(one) for one in registry if one.runs == "process"},
                schedules=self._app.schedules.effective(self.config) if for_ever else None,
            )
        )
        crew.control.on_stop(self._stop_for_good)
        crew.poller.on_claim(ending_of(self._until, self.events, crew, store.levels, self.stop))
        self._crew = crew
        self.presence.joined(crew, store)
        if self._quiet:
            crew.control.turn(WorkerState.QUIET)
        began = time.monotonic()
        try:
            await self._note_predecessor(store)
            for service in crew.in_order:
                await service.start()
            crew.watchdog.start()
            self._announce(store, crew)
            self._ready.set()
            await self._stop.wait()
            self.events.emit(WorkerStopping(self._reason, len(crew.runner.runs)))
        finally:
            ending = await self._wind_down(crew)
        self.events.emit(WorkerStopped(ending.released, ending.abandoned, time.monotonic() - began))
        return ending

    def _stop_for_good(self, reason: str) -> None:
        """An operator wants this worker gone: nobody is to take its place."""
        if self._link is not None:
            self._link.tell_leaving()
        self.stop(reason)

    async def _note_predecessor(self, store: Store) -> None:
        """Tell what the supervisor saw of the worker that this one replaces: it is gone for sure.

        So its tasks need not wait for the end of its lease, and poison is buried with the reason.
        """
        if self._link is not None and self._link.predecessor is not None:
            worker, how = self._link.predecessor
            with contextlib.suppress(StoreError):  # then the reaper knows less, and later
                await store.run(maintenance.note_end, worker, how)

    def _registry(self) -> Registry:
        """The handlers as they are now configured; some may have been declared lately."""
        configured = self._app.registry.mapped(self._app.client.configured)
        return configured.mapped(self._surroundings.of)

    def _adopt(self, config: Config) -> None:
        schedules = self._app.schedules.effective(config)
        self.config = self._app.client.config = config
        if self._crew is not None:
            self._crew.adopt(config, self._registry(), schedules)

    async def _wind_down(self, crew: Crew) -> Ending:
        """Stop in bounded phases: claim no more, wait, cancel, release, flush, leave."""
        worker = self.config.worker
        crew.control.state = WorkerState.STOPPING
        crew.permits.close()  # or what is given back would be claimed again
        crew.runner.quiet()
        await crew.listener.stop()
        await crew.poller.stop()
        await self._unless_hurried(crew.runner.idle(worker.grace.total_seconds()))
        crew.runner.stop_all("the worker is stopping")
        await self._unless_hurried(crew.runner.idle(worker.cancel_grace.total_seconds() + 0.5))
        crew.runner.abandon_all()
        await crew.children.dismiss()
        crew.runner.close()
        for service in crew.upkeep:
            await service.stop()
        await crew.settler.stop()
        await crew.settler.flush(2 * self.config.database.call_timeout.total_seconds())
        await crew.hooks.close()
        await crew.completions.close()
        crew.watchdog.stop()
        with contextlib.suppress(StoreError):  # the lease ends by itself
            await crew.heartbeat.stop()
        return Ending(crew.runner.released, len(crew.runner.runs))

    async def _unless_hurried(self, waiting: Coroutine[Any, Any, bool]) -> None:
        waiter = asyncio.create_task(waiting)
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({waiter, hurry}, return_when=asyncio.FIRST_COMPLETED)
        for task in (waiter, hurry):
            task.cancel()

    def _announce(self, store: Store, crew: Crew) -> None:
        self.events.emit(
            WorkerStarted(
                crew.identity.id,
                self.config.worker.name,
                f"{store.server} at {store.name}",
                list(self.config.worker.queues),
                len(self._app.registry),
                self.config.worker.concurrency,
            )
        )
