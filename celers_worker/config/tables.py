"""The tables of the file: the type, the bounds and the default of every setting."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec

from celers_worker.config.kinds import (
    MAX_PERMITS,
    Bytes,
    Choice,
    Each,
    Module,
    QueueLimit,
    QueueName,
    Span,
    Strategy,
    Text,
    Url,
    Variable,
    Whole,
)
from celers_worker.config.schedule_kinds import (
    Arguments,
    CronExpression,
    Interval,
    TaskName,
    YesNo,
    Zone,
)
from celers_worker.core.circuit import Circuit
from celers_worker.core.payload import SIZE_LIMIT
from celers_worker.core.policies import MOST_CAUGHT_UP, Misfire, Overlap
from celers_worker.core.task import MAX_RETRIES_LIMIT, PRIORITY_RANGE

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Pooler: TypeAlias = Literal["none", "transaction"]
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
#: Failures before a circuit opens: who waits for more wants none.
MAX_CIRCUIT = 1_000_000


class Readers(StrEnum):
    """Who may read a file, from few to many."""

    OWNER = "owner"
    GROUP = "group"
    EVERYBODY = "everybody"


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file. load_config checks the values, the tables themselves do not."""


class DatabaseSettings(Table, frozen=True):
    """Where the tasks are."""

    url: Annotated[str, Url()] = "sqlite:///celers.db"
    connect_timeout: Annotated[timedelta, _POSITIVE] = timedelta(seconds=5)
    call_timeout: Annotated[timedelta, _POSITIVE] = timedelta(seconds=10)
    pool_size: Annotated[int, Whole(1, 1_000)] = 5
    file_readers: Annotated[str, Choice(tuple(Readers))] = Readers.OWNER.value
    pooler: Annotated[Pooler, Choice(get_args(Pooler))] = "none"


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
    loop_deadline: Annotated[timedelta, _POSITIVE] = timedelta(minutes=5)
    settle_interval: Annotated[timedelta, _ANY] = timedelta(milliseconds=2)
    settle_batch: Annotated[int, Whole(1, 10_000)] = 2_000


class ExecutorSettings(Table, frozen=True):
    """The processes of handlers that run in processes of their own."""

    processes: Annotated[int, Whole(1, MAX_PROCESSES)] = 4
    max_tasks: Annotated[int | None, Whole(1, 1_000_000_000)] = 1_000
    max_memory: Annotated[int | None, Bytes()] = 512_000_000
    environment: Annotated[tuple[str, ...], Each(Variable())] = ()


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
    memory: Annotated[int | None, Bytes()] = None
    circuit_failures: Annotated[int | None, Whole(0, MAX_CIRCUIT)] = None
    circuit_rate: Annotated[int | None, Whole(1, 100)] = None
    circuit_window: Annotated[timedelta | None, _POSITIVE] = None
    circuit_rest: Annotated[timedelta | None, _POSITIVE] = None

    def circuit(self, declared: Circuit | None) -> Circuit | None:
        """The circuit that the code has *declared*, with what is set here; None: it has none."""
        if self.circuit_failures == 0 or (declared is None and self.circuit_failures is None):
            return None
        base = declared or Circuit()
        return Circuit(
            self.circuit_failures or base.failures,
            base.rate if self.circuit_rate is None else self.circuit_rate / 100,
            self.circuit_window or base.window,
            self.circuit_rest or base.rest,
        )


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
    drain_target: Annotated[timedelta, _POSITIVE] = timedelta(minutes=1)


class LogSettings(Table, frozen=True):
    """What is logged, and how."""

    level: Annotated[LogLevel, Choice(get_args(LogLevel))] = "info"
    format: Annotated[LogFormat, Choice(get_args(LogFormat))] = "auto"
    keep_lines: Annotated[int, Whole(0, 10_000)] = 500
    keep_bytes: Annotated[int, Whole(0, 1_048_576)] = 65_536


#: The tables of which there is one, in the order of the file.
TABLES: Mapping[str, type[Table]] = {
    "database": DatabaseSettings,
    "worker": WorkerSettings,
    "executor": ExecutorSettings,
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
