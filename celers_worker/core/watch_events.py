"""Facts about watching: what cannot be shown later, and what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from celers_worker.core.task import Task


@dataclass(frozen=True, slots=True)
class RunLogsLost:
    """What handlers wrote to their logs could not be kept."""

    tasks: Sequence[Task]
    error: BaseException


@dataclass(frozen=True, slots=True)
class PoolerSuspected:
    """Something between us and the database keeps no session, and nobody has said so."""

    database: str
    sign: str
