"""The whole configuration, and every setting by its name. What it is for stands in descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import msgspec

from celers_worker.config.descriptions import DESCRIPTIONS, Description
from celers_worker.config.kinds import Kind, parse_queue
from celers_worker.config.tables import (
    NAMED_TABLES,
    TABLES,
    DatabaseSettings,
    ExecutorSettings,
    HandlerSettings,
    LimitSettings,
    LogSettings,
    MaintenanceSettings,
    MetricsSettings,
    QueueSettings,
    RetentionSettings,
    RouteSettings,
    ScheduleSettings,
    WorkerSettings,
)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    database: DatabaseSettings = DatabaseSettings()
    worker: WorkerSettings = msgspec.field(default_factory=WorkerSettings)
    executor: ExecutorSettings = ExecutorSettings()
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

    def with_concurrency(self, concurrency: int) -> Config:
        """The configuration of a worker that runs so many tasks at once."""
        worker = msgspec.structs.replace(self.worker, concurrency=concurrency)
        return msgspec.structs.replace(self, worker=worker)

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
