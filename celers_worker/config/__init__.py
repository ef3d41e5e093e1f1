"""Configuration: defaults < file < environment < flags; every value remembers its source.

settings   the tables: every setting with its default, its bounds and what it is for
kinds      how one setting is read, checked and written
documents  the TOML file: found, read within bounds, searched for the line of a key
layers     what the file, the environment and the flags say
schedules  the schedules of the code, with what the configuration says of them
loader     the layers laid over each other, and what must fit together
url        what is wrong with a database URL, and how to show it without its secrets
example    config/celers.toml
"""

from __future__ import annotations

from celers_worker.config.example import example_config
from celers_worker.config.kinds import parse_queue
from celers_worker.config.loader import LoadedConfig, Row, load_config
from celers_worker.config.settings import Config
from celers_worker.config.tables import (
    DatabaseSettings,
    HandlerSettings,
    LogSettings,
    MetricsSettings,
    QueueSettings,
    RetentionSettings,
    ScheduleSettings,
    WorkerSettings,
)
from celers_worker.config.url import redact_url

__all__ = [
    "Config",
    "DatabaseSettings",
    "HandlerSettings",
    "LoadedConfig",
    "LogSettings",
    "MetricsSettings",
    "QueueSettings",
    "RetentionSettings",
    "Row",
    "ScheduleSettings",
    "WorkerSettings",
    "example_config",
    "load_config",
    "parse_queue",
    "redact_url",
]
