"""Facts about what a person told a running process to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ConfigurationReloaded:
    """The configuration was read again: what holds from now on, and what waits for a restart."""

    changed: Sequence[str]
    waiting: Sequence[str]
    log_level: str


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """The configuration has become wrong; the old one holds."""

    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class ClaimingStopped:
    """The worker claims no more until it is told to; what runs goes on."""

    reason: str
    running: int


@dataclass(frozen=True, slots=True)
class ClaimingResumed:
    """The worker claims again."""

    reason: str


@dataclass(frozen=True, slots=True)
class TaskStack:
    """Where a running task is: ``frames`` from the handler inwards; ``seconds`` since it began."""

    task_id: UUID
    name: str
    queue: str
    seconds: float
    runs: str
    frames: Sequence[str]


@dataclass(frozen=True, slots=True)
class StacksTaken:
    """Somebody asked where the running tasks are."""

    stacks: Sequence[TaskStack]
