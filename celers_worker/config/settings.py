"""Every setting: its type, its bounds and its default. What it is for stands in descriptions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec

from celers_worker.config.descriptions import DESCRIPTIONS, Description
from celers_worker.config.kinds import (
    MAX_PERMITS,
    Choice,
    Each,
    Kind,
    Module,
    QueueLimit,
    QueueName,
    Span,
    Strategy,
    Text,
    Url,
    Whole,
    parse_queue,
)
from celers_worker.config.schedule_kinds import (
    Arguments,
    CronExpression,
    Interval,
    TaskName,
    YesNo,
    Zone,
)
from celers_worker.core.payload import SIZE_LIMIT
from celers_worker.core.policies import MOST_CAUGHT_UP, Misfire, Overlap
from celers_worker.core.task import MAX_RETRIES_LIMIT, PRIORITY_RANGE

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "console", "json"]

_POSITIVE = Span(timedelta(milliseconds=1))
_ANY = Span()
_PERMITS = Whole(1, MAX_PERMITS)
#: More than the cores of a machine: what is over this is hardly meant.
MAX_PROCESSES = 1_000
#: What a value of MySQL's MEDIUMBLOB may have, less what goes with it in one packet.
MAX_BYTES = 15 * 1024 * 1024
#: To count more of them before each enqueue takes too long.
MAX_CAPACITY = 1_000_000


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file. load_config checks the values, the tables themselves do not."""


class DatabaseSettings(Table, frozen=True):
    """Where the tasks are."""

    url: Annotated[str, Url()] = "sqlite:///celers.db"
    connect_timeout: Annotated[timedelta, _POSITIVE] = timedelta(seconds=5)
    call_timeout: Annotated[timedelta, _POSITIVE] = timedelta(seconds=10)
    pool_size: Annotated[int, Whole(1, 1_000)] = 5


class WorkerSettings(Table, frozen=True):
    """How a worker runs tasks."""

    name: Annotated[str, Text()] = msgspec.field(
        default_factory=lambda: platform.node()[:255] or "worker"
    )
    app: Annotated[str, Module(attribute=True)] = ""
    modules: Annotated[tuple[str, ...], Each(Module())] = ()
    queues: Annotated[tuple[str, ...], Each(QueueLimit())] = ()
    processes: Annotated[int, Whole(1, MAX_PROCESSES)] = 1
    concurrency: Annotated[int, _PERMITS] = 100
    prefetch: Annotated[int, Whole(0, MAX_PERMITS)] = 0
    queue_concurrency: Annotated[int | None, _PERMITS] = None
    threads: Annotated[int, Whole(1, 1_024)] = 32
    timeout: Annotated[timedelta | None, _POSITIVE] = None
    backoff: Annotated[str | None, Strategy()] = None
    poll_interval: Annotated[timedelta, _POSITIVE] = timedelta(seconds=1)
    poll_backoff: Annotated[timedelta, _ANY] = timedelta(0)
    lease: Annotated[timedelta, _POSITIVE] = timedelta(seconds=30)
    heartbeat_interval: Annotated[timedelta, _POSITIVE] = timedelta(seconds=5)
    reap_interval: Annotated[timedelta, _POSITIVE] = timedelta(seconds=5)
    schedule_interval: Annotated[timedelta, _POSITIVE] = timedelta(seconds=5)
    janitor_interval: Annotated[timedelta, _POSITIVE] = timedelta(minutes=1)
    grace: Annotated[timedelta, _ANY] = timedelta(seconds=30)
    cancel_grace: Annotated[timedelta, _ANY] = timedelta(seconds=5)
    max_crashes: Annotated[int, Whole(1, MAX_RETRIES_LIMIT)] = 3
    settle_interval: Annotated[timedelta, _ANY] = timedelta(milliseconds=2)
    settle_batch: Annotated[int, Whole(1, 10_000)] = 1_000


class QueueSettings(Table, frozen=True):
    """One queue. Its retention goes before that of [retention]."""

    concurrency: Annotated[int | None, _PERMITS] = None
    backoff: Annotated[str | None, Strategy()] = None
    capacity: Annotated[int | None, Whole(1, MAX_CAPACITY)] = None
    retention_completed: Annotated[timedelta | None, _ANY] = None
    retention_cancelled: Annotated[timedelta | None, _ANY] = None
    retention_expired: Annotated[timedelta | None, _ANY] = None
    retention_dead: Annotated[timedelta | None, _ANY] = None


class RouteSettings(Table, frozen=True):
    """One rule: where the tasks go whose name matches."""

    queue: Annotated[str, QueueName()]


class HandlerSettings(Table, frozen=True):
    """What overrides a handler's own declaration; None leaves it."""

    concurrency: Annotated[int | None, _PERMITS] = None
    timeout: Annotated[timedelta | None, _POSITIVE] = None
    max_retries: Annotated[int | None, Whole(0, MAX_RETRIES_LIMIT)] = None
    backoff: Annotated[str | None, Strategy()] = None


class ScheduleSettings(Table, frozen=True):
    """A schedule, or what overrides one of the code; None leaves it. See config.schedules."""

    enabled: Annotated[bool, YesNo()] = True
    task: Annotated[str | None, TaskName()] = None
    cron: Annotated[str | None, CronExpression()] = None
    every: Annotated[timedelta | None, Interval()] = None
    timezone: Annotated[str | None, Zone()] = None
    arguments: Annotated[Mapping[str, Any] | None, Arguments()] = None
    queue: Annotated[str | None, QueueName()] = None
    priority: Annotated[int | None, Whole(PRIORITY_RANGE[0], PRIORITY_RANGE[-1])] = None
    max_retries: Annotated[int | None, Whole(0, MAX_RETRIES_LIMIT)] = None
    timeout: Annotated[timedelta | None, _POSITIVE] = None
    expires: Annotated[timedelta | None, _POSITIVE] = None
    misfire: Annotated[str | None, Choice(tuple(Misfire))] = None
    misfire_after: Annotated[timedelta | None, _ANY] = None
    catch_up: Annotated[int | None, Whole(1, MOST_CAUGHT_UP)] = None
    overlap: Annotated[str | None, Choice(tuple(Overlap))] = None
    jitter: Annotated[timedelta | None, _ANY] = None


class RetentionSettings(Table, frozen=True):
    """How long what has ended is kept."""

    completed: Annotated[timedelta, _ANY] = timedelta(days=7)
    cancelled: Annotated[timedelta, _ANY] = timedelta(days=7)
    expired: Annotated[timedelta, _ANY] = timedelta(days=7)
    dead: Annotated[timedelta, _ANY] = timedelta(days=30)
    results: Annotated[timedelta, _ANY] = timedelta(days=30)
    ticks: Annotated[timedelta, _ANY] = timedelta(days=30)
    history: Annotated[timedelta, _ANY] = timedelta(days=30)


class LimitSettings(Table, frozen=True):
    """How large what is stored may be, in bytes."""

    arguments: Annotated[int, Whole(1, MAX_BYTES)] = SIZE_LIMIT
    result: Annotated[int, Whole(1, MAX_BYTES)] = SIZE_LIMIT


class MaintenanceSettings(Table, frozen=True):
    """What one of the workers does for all of them, by the way; 0s turns a duty off."""

    archive_interval: Annotated[timedelta, _ANY] = timedelta(days=1)
    archive_after: Annotated[timedelta, _ANY] = timedelta(days=1)
    stuck_after: Annotated[timedelta, _POSITIVE] = timedelta(hours=1)
    analyze_interval: Annotated[timedelta, _ANY] = timedelta(days=7)


class MetricsSettings(Table, frozen=True):
    """Where metrics and health are served; no port, no server."""

    host: Annotated[str, Text()] = "127.0.0.1"
    port: Annotated[int | None, Whole(0, 65_535)] = None


class LogSettings(Table, frozen=True):
    """What is logged, and how."""

    level: Annotated[LogLevel, Choice(get_args(LogLevel))] = "info"
    format: Annotated[LogFormat, Choice(get_args(LogFormat))] = "auto"


#: The tables of which there is one, in the order of the file.
TABLES: Mapping[str, type[Table]] = {
    "database": DatabaseSettings,
    "worker": WorkerSettings,
    "retention": RetentionSettings,
    "limits": LimitSettings,
    "maintenance": MaintenanceSettings,
    "metrics": MetricsSettings,
    "log": LogSettings,
}
#: The tables of which there is one for each name, as in [queues.emails].
NAMED_TABLES: Mapping[str, type[Table]] = {
    "queues": QueueSettings,
    "handlers": HandlerSettings,
    "routes": RouteSettings,
    "schedules": ScheduleSettings,
}


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    database: DatabaseSettings = DatabaseSettings()
    worker: WorkerSettings = msgspec.field(default_factory=WorkerSettings)
    queues: Mapping[str, QueueSettings] = msgspec.field(default_factory=dict)
    handlers: Mapping[str, HandlerSettings] = msgspec.field(default_factory=dict)
    routes: Mapping[str, RouteSettings] = msgspec.field(default_factory=dict)
    """By pattern, in the order of the file: the first that matches wins."""
    schedules: Mapping[str, ScheduleSettings] = msgspec.field(default_factory=dict)
    retention: RetentionSettings = RetentionSettings()
    limits: LimitSettings = LimitSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    def of_process(self, place: int) -> Config:
        """The configuration of one of several processes: ``web`` is ``web-1``, ``web-2`` …"""
        name = f"{self.worker.name[:250]}-{place}"
        return msgspec.structs.replace(self, worker=msgspec.structs.replace(self.worker, name=name))

    @property
    def has_backoffs(self) -> bool:
        """Whether any backoff is configured."""
        of_queues = [queue.backoff for queue in self.queues.values()]
        of_handlers = [handler.backoff for handler in self.handlers.values()]
        return any((self.worker.backoff, *of_queues, *of_handlers))

    @property
    def queue_limits(self) -> dict[str, int]:
        """The limit of every queue that is named: those to serve, or else all that are configured.

        ``reports:4`` goes before [queues.reports], and that before worker.queue_concurrency.
        """
        named = [parse_queue(text) for text in self.worker.queues]
        limits = dict(named) if named else dict.fromkeys(self.queues)
        return {name: limit or self._queue_limit(name) for name, limit in limits.items()}

    @property
    def capacities(self) -> dict[str, int]:
        """How many tasks may wait in a queue, for the queues that have a limit."""
        return {
            name: queue.capacity
            for name, queue in self.queues.items()
            if queue.capacity is not None
        }

    @property
    def other_queues_limit(self) -> int | None:
        """The limit of each queue that is not in queue_limits; None: they are not served."""
        return None if self.worker.queues else self._default_limit

    @property
    def retention_by_queue(self) -> dict[str, dict[str, timedelta]]:
        """The queues with a retention of their own, by the keys of [retention]."""
        found: dict[str, dict[str, timedelta]] = {}
        for name, settings in self.queues.items():
            for key in ("completed", "cancelled", "expired", "dead"):
                age = getattr(settings, f"retention_{key}")
                if age is not None:
                    found.setdefault(name, {})[key] = age
        return found

    @property
    def keeps_completed(self) -> bool:
        """Whether tasks that completed are archived at all, of any queue."""
        own = [ages.get("completed") for ages in self.retention_by_queue.values()]
        return any(age for age in (self.retention.completed, *own))

    @property
    def _default_limit(self) -> int:
        return self.worker.queue_concurrency or self.worker.concurrency

    def _queue_limit(self, name: str) -> int:
        return self.queues.get(name, QueueSettings()).concurrency or self._default_limit


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table. ``default`` is None if there is none or it depends on the host."""

    kind: Kind
    default: object
    description: Description


@cache
def settings_of(table: str) -> Mapping[str, Setting]:
    """Return the settings of *table* by key, in the order of the file."""
    named = table in NAMED_TABLES
    struct = NAMED_TABLES[table] if named else TABLES[table]
    prefix = f"{table}.NAME" if named else table
    return {
        field.name: Setting(
            kind=field.type.__metadata__[0],
            default=None if field.default is msgspec.NODEFAULT else field.default,
            description=DESCRIPTIONS[f"{prefix}.{field.name}"],
        )
        for field in msgspec.structs.fields(struct)
    }


def setting_at(key: str) -> Setting:
    """Return the setting that a dotted key names, or raise KeyError."""
    table, name, leaf = split_key(key)
    if table not in (TABLES if name is None else NAMED_TABLES):
        raise KeyError(key)
    return settings_of(table)[leaf]


def split_key(key: str) -> tuple[str, str | None, str]:
    """Return table, name and key: of ``worker.lease``, of ``handlers.shop.pay.timeout``."""
    table, _, rest = key.partition(".")
    name, dot, leaf = rest.rpartition(".")
    return table, name if dot else None, leaf
