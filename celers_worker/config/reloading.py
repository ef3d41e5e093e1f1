"""What a running process takes over from a configuration that has changed, and what it cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict, replace

from celers_worker.config.settings import Config
from celers_worker.config.tables import (
    NAMED_TABLES,
    HandlerSettings,
    QueueSettings,
    WorkerSettings,
)

#: The settings of a worker that hold from the next claim or run on.
_LIVE = ("concurrency", "prefetch", "queue_concurrency", "timeout", "backoff", "grace")
_RETENTIONS = tuple(key for key in QueueSettings.__struct_fields__ if key.startswith("retention_"))
_CIRCUITS = tuple(key for key in HandlerSettings.__struct_fields__ if key.startswith("circuit_"))


@dataclass(frozen=True, slots=True)
class Reload:
    """``config`` is what holds from now on; the others are the keys that say something new."""

    config: Config
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def reload_of(old: Config, new: Config) -> Reload:
    """What of *new* a process that runs by *old* can take over: limits, the log's level, schedules.

    The rest needs a restart: connections, files and loops have been made by it.
    """
    config = replace(
        new,
        database=old.database,
        executor=old.executor,
        retention=old.retention,
        maintenance=old.maintenance,
        metrics=old.metrics,
        worker=_worker(old.worker, new.worker),
        queues={
            name: replace(settings, **_those(_RETENTIONS, old.queues.get(name, QueueSettings())))
            for name, settings in new.queues.items()
        },
        handlers={
            name: replace(settings, **_those(_CIRCUITS, old.handlers.get(name, HandlerSettings())))
            for name, settings in new.handlers.items()
        },
        log=replace(old.log, level=new.log.level),
    )
    before, now, wanted = _flat(old), _flat(config), _flat(new)
    return Reload(config, _differences(before, now), _differences(now, wanted))


def _worker(old: WorkerSettings, new: WorkerSettings) -> WorkerSettings:
    live = {key: getattr(new, key) for key in _LIVE}
    # The limits of the queues it serves, but no other queues: other workers read which they are.
    if _names(old.queues) == _names(new.queues):
        live["queues"] = new.queues
    return replace(old, **live)


def _names(queues: tuple[str, ...]) -> list[str]:
    return [text.partition(":")[0] for text in queues]


def _those(keys: Iterable[str], settings: QueueSettings | HandlerSettings) -> dict[str, Any]:
    return {key: getattr(settings, key) for key in keys}


def _flat(config: Config) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for table, content in asdict(config).items():
        parts = content.items() if table in NAMED_TABLES else [("", content)]
        for name, settings in parts:
            path = f"{table}.{name}" if name else table
            flat |= {f"{path}.{key}": value for key, value in asdict(settings).items()}
    return flat


def _differences(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, ...]:
    """The keys whose values differ, also because only one of the two has them."""
    return tuple(sorted(key for key in {**one, **other} if one.get(key) != other.get(key)))
