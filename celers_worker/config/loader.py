"""The layers laid over each other: defaults < file < environment < flags."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from celers_worker.config.kinds import Span
from celers_worker.config.layers import (
    URL,
    Layer,
    credential_layer,
    environment_layer,
    file_layer,
    flag_layer,
)
from celers_worker.config.settings import Config, setting_at, settings_of, split_key
from celers_worker.config.tables import NAMED_TABLES, TABLES, WorkerSettings
from celers_worker.core.errors import ConfigurationError

DEFAULT = "default"
UNSET = "none"

_NO_FLAGS: Mapping[str, object] = MappingProxyType({})


class Row(NamedTuple):
    """One line of ``celers check``; ``value`` is TOML without secrets, or ``none``."""

    key: str
    value: str
    source: str
    description: str


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and where each of its values comes from, by dotted key."""

    config: Config
    sources: Mapping[str, str]

    def rows(self) -> Iterator[Row]:
        """Yield every setting in the order of the file, those of named queues and handlers too."""
        for key, source in self.sources.items():
            setting = setting_at(key)
            value = _value_at(self.config, key)
            written = UNSET if value is None else setting.kind.write(value)
            yield Row(key, written, source, setting.description.what)


def load_config(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, object] = _NO_FLAGS,
    directory: Path | None = None,
) -> LoadedConfig:
    """Return the configuration that file, environment and flags give.

    The file is *file*, else the one CELERS_CONFIG names, else celers.toml, else [tool.celers] of
    pyproject.toml; *directory* stands in for the current directory. Flags go by dotted key; one
    that is None was not given.

    Raises ConfigurationError with every problem there is, each naming its place.
    """
    here = directory or Path()
    layers = [
        file_layer(file, environment, here),
        environment_layer(environment, here),
        flag_layer(flags),
    ]
    if not any(URL in layer.places for layer in layers):
        layers.append(credential_layer(environment))
    whole = Layer()
    for layer in layers:
        whole.lay(layer)
    config = _config(whole.values)
    if problems := [*whole.problems, *_misfits(config.worker, whole)]:
        raise ConfigurationError(*problems)
    places = whole.places
    sources = {key: places[key].source if key in places else DEFAULT for key in _keys(config)}
    return LoadedConfig(config, sources)


def _config(values: Mapping[str, Any]) -> Config:
    """Return *values* in their tables, with defaults for those that are absent or refused."""
    single: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    named: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in NAMED_TABLES}
    for key, value in values.items():
        table, name, leaf = split_key(key)
        if name is None:
            single[table][leaf] = value
        else:
            named[table].setdefault(name, {})[leaf] = value
    tables: dict[str, Any] = {table: TABLES[table](**single[table]) for table in TABLES}
    for table, struct in NAMED_TABLES.items():
        tables[table] = {name: struct(**content) for name, content in named[table].items()}
    return Config(**tables)


def _misfits(worker: WorkerSettings, layer: Layer) -> Iterator[str]:
    """Yield what is wrong with values that are right by themselves."""
    where = _where(layer, "worker.lease", "worker.heartbeat_interval")
    if where and worker.lease < 2 * worker.heartbeat_interval:
        yield (
            f"{where}: worker.lease is {_written(worker.lease)} and worker.heartbeat_interval "
            f"{_written(worker.heartbeat_interval)}: the lease must be at least twice the "
            "heartbeat_interval, or one late heartbeat loses running tasks."
        )
    where = _where(layer, "worker.lease", "worker.reap_interval")
    if where and worker.lease < worker.reap_interval:
        yield (
            f"{where}: worker.lease is {_written(worker.lease)} and worker.reap_interval "
            f"{_written(worker.reap_interval)}: the reap_interval must be at most the lease, "
            "because a dead worker's tasks wait for both."
        )


def _where(layer: Layer, *keys: str) -> str:
    """Return where *keys* were set; nothing if none was, or one of them was refused anyway."""
    if any(key not in layer.values for key in keys if key in layer.places):
        return ""
    found = (layer.places[key].where for key in keys if key in layer.places)
    return " and ".join(dict.fromkeys(found))


def _written(span: timedelta) -> str:
    return Span().write(span).strip('"')


def _keys(config: Config) -> Iterator[str]:
    for table in Config.__struct_fields__:
        names = getattr(config, table) if table in NAMED_TABLES else (None,)
        for name in names:
            prefix = table if name is None else f"{table}.{name}"
            yield from (f"{prefix}.{leaf}" for leaf in settings_of(table))


def _value_at(config: Config, key: str) -> Any:
    table, name, leaf = split_key(key)
    content = getattr(config, table)
    return getattr(content if name is None else content[name], leaf)
