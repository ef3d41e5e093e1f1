"""Every setting: its type, its bounds and its default. What it is for stands in descriptions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec

from celers_worker.config.descriptions import DESCRIPTIONS, Description
from celers_worker.config.kinds import (
    MAX_PERMITS,
    Choice,
    Each,
    Kind,
    Module,
    QueueLimit,
    Span,
    Text,
    Url,
    Whole,
    parse_queue,
)
from celers_worker.core.task import MAX_RETRIES_LIMIT

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "console", "json"]

_POSITIVE = Span(timedelta(milliseconds=1))
_ANY = Span()
_PERMITS = Whole(1, MAX_PERMITS)
#: More than the cores of a machine: what is over this is hardly meant.
MAX_PROCESSES = 1_000


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
    poll_interval: Annotated[timedelta, _POSITIVE] = timedelta(seconds=1)
    poll_backoff: Annotated[timedelta, _ANY] = timedelta(0)
    lease: Annotated[timedelta, _POSITIVE] = timedelta(seconds=30)
    heartbeat_interval: Annotated[timedelta, _POSITIVE] = timedelta(seconds=5)
    reap_interval: Annotated[timedelta, _POSITIVE] = timedelta(seconds=5)
    janitor_interval: Annotated[timedelta, _POSITIVE] = timedelta(minutes=1)
    grace: Annotated[timedelta, _ANY] = timedelta(seconds=30)
    cancel_grace: Annotated[timedelta, _ANY] = timedelta(seconds=5)
    max_crashes: Annotated[int, Whole(1, MAX_RETRIES_LIMIT)] = 3
    settle_interval: Annotated[timedelta, _ANY] = timedelta(milliseconds=2)
    settle_batch: Annotated[int, Whole(1, 10_000)] = 1_000


class QueueSettings(Table, frozen=True):
    """One queue."""

    concurrency: Annotated[int | None, _PERMITS] = None


class HandlerSettings(Table, frozen=True):
    """What overrides a handler's own declaration; None leaves it."""

    concurrency: Annotated[int | None, _PERMITS] = None
    timeout: Annotated[timedelta | None, _POSITIVE] = None
    max_retries: Annotated[int | None, Whole(0, MAX_RETRIES_LIMIT)] = None


class RetentionSettings(Table, frozen=True):
    """How long what has ended is kept."""

    completed: Annotated[timedelta, _ANY] = timedelta(days=7)
    cancelled: Annotated[timedelta, _ANY] = timedelta(days=7)
    expired: Annotated[timedelta, _ANY] = timedelta(days=7)
    dead: Annotated[timedelta, _ANY] = timedelta(days=30)
    results: Annotated[timedelta, _ANY] = timedelta(days=30)


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
    "metrics": MetricsSettings,
    "log": LogSettings,
}
#: The tables of which there is one for each name, as in [queues.emails].
NAMED_TABLES: Mapping[str, type[Table]] = {"queues": QueueSettings, "handlers": HandlerSettings}


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    database: DatabaseSettings = DatabaseSettings()
    worker: WorkerSettings = msgspec.field(default_factory=WorkerSettings)
    queues: Mapping[str, QueueSettings] = msgspec.field(default_factory=dict)
    handlers: Mapping[str, HandlerSettings] = msgspec.field(default_factory=dict)
    retention: RetentionSettings = RetentionSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    def of_process(self, place: int) -> Config:
        """The configuration of one of several processes: ``web`` is ``web-1``, ``web-2`` …"""
        name = f"{self.worker.name[:250]}-{place}"
        return msgspec.structs.replace(self, worker=msgspec.structs.replace(self.worker, name=name))

    @property
    def queue_limits(self) -> dict[str, int]:
        """The limit of every queue that is named: those to serve, or else all that are configured.

        ``reports:4`` goes before [queues.reports], and that before worker.queue_concurrency.
        """
        named = [parse_queue(text) for text in self.worker.queues]
        limits = dict(named) if named else dict.fromkeys(self.queues)
        return {name: limit or self._queue_limit(name) for name, limit in limits.items()}

    @property
    def other_queues_limit(self) -> int | None:
        """The limit of each queue that is not in queue_limits; None: they are not served."""
        return None if self.worker.queues else self._default_limit

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
