"""Crew: the services of one worker, built and in order."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypedDict

from msgspec import json
from msgspec.structs import asdict, replace

from celers_worker.config import Config
from celers_worker.config.tables import DatabaseSettings
from celers_worker.core.events import Events
from celers_worker.core.handler import Handler
from celers_worker.core.middleware import Middleware
from celers_worker.core.registry import Registry
from celers_worker.core.schedule import Schedule
from celers_worker.core.wire import Setup
from celers_worker.services.children import Children, Nursery
from celers_worker.services.circuits import Circuits
from celers_worker.services.completions import Completions
from celers_worker.services.conductor import Conductor
from celers_worker.services.control import Control
from celers_worker.services.heartbeat import Heartbeat
from celers_worker.services.hooks import Hooks
from celers_worker.services.host import Offers, WorkerHost
from celers_worker.services.identity import Identity
from celers_worker.services.janitor import Janitor, UpkeepPlan
from celers_worker.services.listener import Listener
from celers_worker.services.permits import Permits
from celers_worker.services.poller import Poller
from celers_worker.services.reaper import Reaper
from celers_worker.services.run_logs import RunLogs
from celers_worker.services.runner import Runner
from celers_worker.services.scheduler import Scheduler
from celers_worker.services.service import Service
from celers_worker.services.settler import Settler
from celers_worker.services.stacks import stacks_of
from celers_worker.services.surveyor import Surveyor
from celers_worker.services.watchdog import Watchdog
from celers_worker.store import Store, make_direct_store
from celers_worker.store.maintenance import WorkerCard
from celers_worker.version import __version__

#: Gauges are counted this often, in seconds: a scrape a quarter of a minute is usual.
_SURVEY = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a crew works on.

    *counted*: somebody reads gauges. *upkeep*: it also reaps and prunes, in every queue.
    *offers*: what contexts offer to handlers; without, they have but their task.
    *schedules*: what it declares; None: it does not deal with schedules at all.
    *modules*: where the handlers that run in processes are declared.
    """

    config: Config
    events: Events
    store: Store
    registry: Registry
    counted: bool
    upkeep: bool = True
    offers: Offers | None = None
    middleware: Sequence[Middleware] = ()
    schedules: Sequence[Schedule] | None = ()
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crew:
    """What runs, in the order of its start."""

    identity: Identity
    permits: Permits
    runner: Runner
    children: Children
    heartbeat: Heartbeat
    control: Control
    watchdog: Watchdog
    settler: Settler
    upkeep: tuple[Service, ...]
    poller: Poller
    listener: Listener
    completions: Completions
    hooks: Hooks

    @property
    def in_order(self) -> tuple[Service, ...]:
        """The services in the order of their start."""
        return (self.heartbeat, self.settler, *self.upkeep, self.poller, self.listener)

    @classmethod
    def built(cls, work: Work) -> Self:
        """Build everything. The only place that knows every class."""
        config, events, store, registry = work.config, work.events, work.store, work.registry
        settings = config.worker
        identity = Identity(settings.name)
        permits = _permits(config, registry)
        hooks = Hooks(events, work.middleware)
        kept = config.log
        logs = RunLogs(events, store, identity, lines=kept.keep_lines, size=kept.keep_bytes)
        settler = Settler(
            events,
            hooks.around_settles(store.settle),
            identity,
            logs,
            window=settings.settle_interval.total_seconds(),
            batch=settings.settle_batch,
        )
        children = Children(events, _nursery(work), patience=settings.cancel_grace.total_seconds())
        runner = Runner(
            events,
            registry,
            permits,
            settler,
            threads=settings.threads,
            children=children,
            cancel_grace=settings.cancel_grace.total_seconds(),
            timeout=settings.timeout,
            max_crashes=settings.max_crashes,
            before_retry=hooks.before_retries(),
        )
        completions = Completions(events, store, identity, runner)
        if work.offers is not None:
            runner.host = WorkerHost(store, completions, logs, work.offers)
        control = Control(events, config, permits, runner, settler)
        heartbeat = Heartbeat(
            events,
            store,
            identity,
            runner,
            logs,
            _card(identity, config, registry),
            control,
            Circuits(events, store, identity, registry, permits, runner),
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
            claim=hooks.around_claims(store.claim),
        )
        schedulers = _schedulers(work)
        listener = Listener(events, store, poller, heartbeat, *schedulers)
        watchdog = Watchdog(
            events,
            lambda: make_direct_store(config.database.url, store.options),
            identity,
            lease=settings.lease,
            interval=settings.heartbeat_interval.total_seconds(),
            deadline=settings.loop_deadline,
            on_renewed=heartbeat.extended,
            holder=runner.holder,
            stacks=lambda thread: stacks_of(list(runner.runs.values()), loop_thread=thread),
        )
        upkeep = (*_upkeep(work), *schedulers)
        crew = cls(
            identity,
            permits,
            runner,
            children,
            heartbeat,
            control,
            watchdog,
            settler,
            upkeep,
            poller,
            listener,
            completions,
            hooks,
        )
        # A tick is a few calls to the database, each of which may wait for a connection first.
        patience = 3 * (config.database.call_timeout + config.database.connect_timeout)
        crew.watchdog.patience = patience.total_seconds()
        for service in crew.in_order:
            service.patience = patience.total_seconds()
        return crew

    def adopt(self, config: Config, registry: Registry, schedules: Sequence[Schedule]) -> None:
        """Go on with other limits, handlers and schedules; what runs is left alone."""
        config = self.control.adopt(config)
        self.runner.adopt(registry, limit=config.worker.concurrency, timeout=config.worker.timeout)
        self.permits.change(**_limits(config, registry))
        for service in self.upkeep:
            if isinstance(service, Scheduler):
                service.redeclare(schedules)


class _Limits(TypedDict):
    total: int
    prefetch: int
    queues: Mapping[str, int]
    queue_default: int | None
    handlers: Mapping[str, int]


def _upkeep(work: Work) -> tuple[Service, ...]:
    settings, events, store = work.config.worker, work.events, work.store
    surveyor = (Surveyor(events, store, interval=_SURVEY),) if work.counted else ()
    if not work.upkeep:
        return surveyor
    reaper = Reaper(
        events,
        store,
        interval=settings.reap_interval.total_seconds(),
        max_crashes=settings.max_crashes,
        stuck=work.config.maintenance.stuck_after,
    )
    retention = work.config.retention
    janitor = Janitor(
        events,
        store,
        interval=settings.janitor_interval.total_seconds(),
        plan=UpkeepPlan(
            retention=asdict(retention),
            by_queue=work.config.retention_by_queue,
            archive_interval=work.config.maintenance.archive_interval,
            archive_after=work.config.maintenance.archive_after,
            analyze_interval=work.config.maintenance.analyze_interval,
        ),
    )
    conductor = Conductor(events, store, interval=settings.reap_interval.total_seconds())
    return (reaper, janitor, conductor, *surveyor)


def _schedulers(work: Work) -> tuple[Scheduler, ...]:
    if work.schedules is None:
        return ()
    interval = work.config.worker.schedule_interval.total_seconds()
    return (Scheduler(work.events, work.store, work.schedules, interval=interval),)


def _permits(config: Config, registry: Registry) -> Permits:
    served = frozenset(config.queue_limits) if config.worker.queues else None
    return Permits(served=served, **_limits(config, registry))


def _limits(config: Config, registry: Registry) -> _Limits:
    return {
        "total": config.worker.concurrency,
        "prefetch": config.worker.prefetch,
        "queues": config.queue_limits,
        "queue_default": config.other_queues_limit,
        "handlers": {
            handler.name: limit
            for handler in registry
            if (limit := handler.concurrency or _processes(handler, config)) is not None
        },
    }


def _processes(handler: Handler, config: Config) -> int | None:
    """Without a process a task would only wait here, and another worker may have one."""
    return config.executor.processes if handler.runs == "process" else None


def _nursery(work: Work) -> Nursery:
    config = work.config
    # The database is none of a handler's business, nor are the arguments of schedules.
    told = replace(config, database=DatabaseSettings(), schedules={})
    return Nursery(
        count=config.executor.processes,
        setup=Setup(json.encode(told), f"{config.worker.name[:240]}, process of a handler"),
        modules=work.modules,
        environment=config.executor.environment,
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
        isolates=True,
    )
