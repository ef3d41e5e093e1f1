"""Facts about a process itself: what a person told it to do, and how late its loop is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LoopTurned:
    """The event loop was asked to do something at a time, and did so many seconds later."""

    lag: float


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
