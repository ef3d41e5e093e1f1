"""Facts about what operators asked for and about circuits, in the past tense."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class WorkerDirected:
    """An operator's order was followed: the worker is in this state, with so many permits."""

    state: str
    concurrency: int
    by: str


@dataclass(frozen=True, slots=True)
class HandlerHeld:
    """This worker claims no more tasks of a handler."""

    handler: str
    why: str


@dataclass(frozen=True, slots=True)
class HandlerFreed:
    """This worker claims tasks of a handler again."""

    handler: str


@dataclass(frozen=True, slots=True)
class CircuitOpened:
    """This worker has opened a handler's circuit, for all; a task is tried after ``rest`` s."""

    handler: str
    error: str
    rest: float


@dataclass(frozen=True, slots=True)
class CircuitProbed:
    """This worker tries one task of a handler whose circuit is open."""

    handler: str
    task: UUID


@dataclass(frozen=True, slots=True)
class CircuitClosed:
    """The task that was tried completed: this worker has closed the circuit, for all."""

    handler: str
