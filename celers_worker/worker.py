"""Worker: builds the services and runs them, in one readable order.

Services start top to bottom and stop bottom to top: the poller is the last one in and the first
one out, the heartbeat holds the leases until everything else is done.

    store      connected for as long as anything runs
    heartbeat  keeps this worker's lease; the watchdog does while the loop is blocked
    settler    writes outcomes
    reaper     takes back the tasks of the lost
    janitor    prunes
    surveyor   counts for the metrics, where they are served
    runner     drains here, with the settler and the heartbeat still up
    poller     claims
    listener   wakes the poller
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from celers_worker.app import Celers
from celers_worker.app.client import Client
from celers_worker.config import Config
from celers_worker.core.errors import StoreError
from celers_worker.core.events import Events, WorkerStarted, WorkerStopped, WorkerStopping
from celers_worker.core.handler import Registry
from celers_worker.observe.metrics import Metrics, MetricsServer
from celers_worker.services.heartbeat import Heartbeat
from celers_worker.services.identity import Identity
from celers_worker.services.janitor import Janitor
from celers_worker.services.listener import Listener
from celers_worker.services.permits import Permits
from celers_worker.services.poller import Poller
from celers_worker.services.reaper import Reaper
from celers_worker.services.runner import Runner
from celers_worker.services.service import Service
from celers_worker.services.settler import Settler
from celers_worker.services.surveyor import Surveyor
from celers_worker.services.watchdog import Watchdog
from celers_worker.store import Store, StoreOptions, make_direct_store, make_store
from celers_worker.store.maintenance import WorkerCard
from celers_worker.version import __version__

#: ``forever``; ``drain``: until no task is due; ``once``: one claim.
Until: TypeAlias = Literal["forever", "drain", "once"]

#: Gauges are counted this often, in seconds: a scrape a quarter of a minute is usual.
_SURVEY = 15.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker ended: tasks given back unfinished, and handlers that never stopped."""

    released: int
    abandoned: int


class Worker:
    """One worker process. ``run`` returns when every claimed task is settled or given back."""

    def __init__(
        self, app: Celers, config: Config, *, until: Until = "forever", events: Events | None = None
    ) -> None:
        self.events = events or Events()
        self.config = config
        self._until = until
        self._client = Client(None, lambda: config)
        self._registry = app.registry.mapped(self._client.configured)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ready = asyncio.Event()
        self._reason = ""
        self.metrics: Metrics | None = None
        self.metrics_port: int | None = None

    @property
    def store_options(self) -> StoreOptions:
        """How its stores treat the database."""
        return self._client.options

    def stop(self, reason: str = "asked to stop") -> None:
        """Ask for a clean end. The second call releases what runs without waiting for it."""
        if self._stop.is_set():
            self._hurry.set()
        self._reason = self._reason or reason
        self._stop.set()

    async def run(self) -> Ending:
        """Run until stopped. Raises StoreError or SchemaError if the database is not ready."""
        store = make_store(self.config.database.url, self.store_options)
        try:
            await store.open()
            with self._metrics_server():
                return await self._run(store)
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

    async def __aexit__(self, *details: object) -> None:
        self.stop("its application left the block")
        await self._embedded

    # --- inside ---

    async def _run(self, store: Store) -> Ending:
        services = _Services.built(self, store, self._registry)
        began = time.monotonic()
        try:
            for service in services.in_order:
                await service.start()
            services.watchdog.start()
            self._announce(store, services)
            self._ready.set()
            await self._stop.wait()
            self.events.emit(WorkerStopping(self._reason, len(services.runner.runs)))
        finally:
            ending = await self._wind_down(services)
        self.events.emit(WorkerStopped(ending.released, ending.abandoned, time.monotonic() - began))
        return ending

    async def _wind_down(self, services: _Services) -> Ending:
        """Stop in bounded phases: claim no more, wait, cancel, release, flush, leave."""
        worker = self.config.worker
        services.heartbeat.state = "stopping"
        services.runner.quiet()
        await services.listener.stop()
        await services.poller.stop()
        await self._unless_hurried(services.runner.idle(worker.grace.total_seconds()))
        released = len(services.runner.runs)
        services.runner.stop_all("the worker is stopping")
        await self._unless_hurried(services.runner.idle(worker.cancel_grace.total_seconds() + 0.5))
        abandoned = services.runner.abandon_all()
        services.runner.close()
        for service in services.upkeep:
            await service.stop()
        await services.settler.stop()
        await services.settler.flush(2 * self.config.database.call_timeout.total_seconds())
        services.watchdog.stop()
        with contextlib.suppress(StoreError):  # the lease ends by itself
            await services.heartbeat.stop()
        return Ending(released, abandoned + len(services.runner.runs))

    async def _unless_hurried(self, waiting: Coroutine[Any, Any, bool]) -> None:
        waiter = asyncio.create_task(waiting)
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({waiter, hurry}, return_when=asyncio.FIRST_COMPLETED)
        for task in (waiter, hurry):
            task.cancel()

    def _announce(self, store: Store, services: _Services) -> None:
        self.events.emit(
            WorkerStarted(
                services.identity.id,
                self.config.worker.name,
                f"{store.server} at {store.name}",
                list(self.config.worker.queues),
                len(self._registry),
                self.config.worker.concurrency,
            )
        )

    @contextlib.contextmanager
    def _metrics_server(self) -> Iterator[None]:
        settings = self.config.metrics
        if settings.port is None:
            yield
            return
        self.metrics = Metrics(self.events)
        server = MetricsServer(settings.host, settings.port, self.metrics.registry)
        self.metrics_port = server.port
        try:
            yield
        finally:
            server.close()


@dataclass(frozen=True, slots=True)
class _Services:
    """What runs, in the order of its start."""

    identity: Identity
    runner: Runner
    heartbeat: Heartbeat
    watchdog: Watchdog
    settler: Settler
    upkeep: tuple[Service, ...]
    poller: Poller
    listener: Listener

    @property
    def in_order(self) -> tuple[Service, ...]:
        return (self.heartbeat, self.settler, *self.upkeep, self.poller, self.listener)

    @classmethod
    def built(cls, worker: Worker, store: Store, registry: Registry) -> Self:
        """Build everything. The only place that knows every class."""
        config, events, settings = worker.config, worker.events, worker.config.worker
        identity = Identity(settings.name)
        permits = _permits(config, registry)
        settler = Settler(
            events,
            store,
            identity,
            window=settings.settle_interval.total_seconds(),
            batch=settings.settle_batch,
        )
        runner = Runner(
            events,
            registry,
            permits,
            settler,
            threads=settings.threads,
            cancel_grace=settings.cancel_grace.total_seconds(),
            timeout=settings.timeout,
        )
        heartbeat = Heartbeat(
            events,
            store,
            identity,
            runner,
            _card(identity, config, registry),
            interval=settings.heartbeat_interval.total_seconds(),
            lease=settings.lease,
        )
        poller = Poller(
            events,
            store,
            identity,
            permits,
            runner,
            settler,
            heartbeat,
            interval=settings.poll_interval.total_seconds(),
        )
        poller.on_claim(_ends(worker, runner))
        listener = Listener(events, store, poller, heartbeat)
        watchdog = Watchdog(
            events,
            lambda: make_direct_store(config.database.url, worker.store_options),
            identity,
            lease=settings.lease,
            interval=settings.heartbeat_interval.total_seconds(),
            on_renewed=heartbeat.extended,
        )
        upkeep = _upkeep(worker, store)
        return cls(identity, runner, heartbeat, watchdog, settler, upkeep, poller, listener)


def _upkeep(worker: Worker, store: Store) -> tuple[Service, ...]:
    settings, events = worker.config.worker, worker.events
    reaper = Reaper(
        events,
        store,
        interval=settings.reap_interval.total_seconds(),
        max_crashes=settings.max_crashes,
    )
    retention = worker.config.retention
    janitor = Janitor(
        events,
        store,
        interval=settings.janitor_interval.total_seconds(),
        retention={
            "completed": retention.completed,
            "cancelled": retention.cancelled,
            "expired": retention.expired,
            "dead": retention.dead,
            "results": retention.results,
        },
    )
    surveyor = (Surveyor(events, store, interval=_SURVEY),) if worker.metrics else ()
    return (reaper, janitor, *surveyor)


def _permits(config: Config, registry: Registry) -> Permits:
    settings = config.worker
    limits = config.queue_limits
    return Permits(
        total=settings.concurrency,
        served=frozenset(limits) if settings.queues else None,
        queues=limits,
        queue_default=config.other_queues_limit,
        handlers={
            handler.name: handler.concurrency
            for handler in registry
            if handler.concurrency is not None
        },
    )


def _card(identity: Identity, config: Config, registry: Registry) -> WorkerCard:
    return WorkerCard(
        id=identity.id,
        name=config.worker.name,
        host=platform.node(),
        pid=os.getpid(),
        version=__version__,
        queues=sorted(config.queue_limits) if config.worker.queues else [],
        handlers=sorted(handler.name for handler in registry),
        concurrency=config.worker.concurrency,
    )


def _ends(worker: Worker, runner: Runner) -> Callable[[int], None]:
    """What ends a worker that does not run forever, told after each claim."""

    def claimed(count: int) -> None:
        match worker._until:
            case "once":
                worker.stop("one claim was asked for")
            case "drain" if not count and not runner.runs:
                worker.stop("no task is due")
            case _:
                pass

    return claimed


def run_worker(worker: Worker) -> Ending:
    """Run *worker* as this process: on uvloop where it exists; SIGTERM and SIGINT stop it."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_with_signals(worker))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _with_signals(worker: Worker) -> Ending:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop, signal.Signals(number).name)
    return await worker.run()
