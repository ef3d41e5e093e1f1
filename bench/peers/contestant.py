"""Who is measured: which program drives it, and how to see in its tables what is left to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class Trouble(Exception):
    """A contestant, or what it needs, failed; the first line says how."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What a contestant's tables in PostgreSQL tell; each statement gives one value."""

    tasks: str
    """The table whose rows are claimed."""
    last: str
    """The key of the task that is probably claimed last."""
    waits: str
    """Whether the task with this key is unsettled: cheap, for it is asked during a drain."""
    unsettled: str
    """Whether any task is unsettled."""
    completed: str = ""
    """How many are kept as completed; empty if they are deleted."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A queue with its programs."""

    name: str
    title: str
    runtime: Literal["ours", "node", "python"]
    program: str
    """A file in ``node`` or ``python``: it prepares, enqueues and, without *worker*, works."""
    tables: Tables = Tables(tasks="", last="", waits="", unsettled="")
    worker: tuple[str, ...] = ()
    """The command of the worker, if users have one that does not need a program of theirs."""
    server: Literal["postgres", "redis"] = "postgres"
    divisor: int = 1
    """A slow one gets this fraction of the tasks: a run would take minutes."""
    python: tuple[int, int] = (3, 11)
    """The oldest Python that its package runs on."""
