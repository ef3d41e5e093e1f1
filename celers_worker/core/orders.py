"""What operators ask of a worker through its row, and which handlers are held.

    running ──quiet──▶ quiet ──drain──▶ draining ──nothing runs──▶ stopping
       ▲                 │                  │
       └─────resume──────┴──────────────────┘         stop: stopping, from anywhere

Orders are a wish for a state, not a step towards it: read twice they change nothing, and a lost
answer loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class WorkerState(StrEnum):
    """What a worker does, and what it may be asked to do."""

    RUNNING = "running"
    QUIET = "quiet"
    """It claims no more, and runs what it has."""
    DRAINING = "draining"
    """It is quiet, and stops when nothing runs."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many tasks a worker runs at most, of each queue and handler that has a limit.

    ``others`` is for each queue that is not named; None: those are not served.
    """

    queues: Mapping[str, int] = field(default_factory=dict)
    others: int | None = None
    handlers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A handler whose tasks are not to be claimed: paused by a person, or by its open circuit.

    ``probe_in``: the seconds until one task may be tried, for an open circuit.
    """

    name: str
    paused: bool = False
    open: bool = False
    probe_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a worker reads with each renewal of its lease; None: nobody has asked for anything."""

    state: WorkerState | None = None
    concurrency: int | None = None
    by: str | None = None
    holds: Sequence[Hold] = ()
