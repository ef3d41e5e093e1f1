"""One run of one task, and why it may be told to end."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from enum import Enum, auto
from typing import Any, Protocol

import msgspec

from celers_worker.core.context import Context
from celers_worker.core.errors import PayloadError
from celers_worker.core.handler import Handler
from celers_worker.core.outcome import (
    Cancelled,
    Dead,
    Outcome,
    Release,
    Settlement,
    failure_of,
    outcome_of_failure,
    outcome_of_value,
)
from celers_worker.core.task import Task


class Settles(Protocol):
    """Where outcomes go."""

    def put(self, settlement: Settlement) -> None:
        """Take an outcome to write."""


class Stop(Enum):
    """Why a run was told to end."""

    TIMEOUT = auto()
    CANCEL = auto()
    SHUTDOWN = auto()
    LEASE_LOST = auto()
    HELD = auto()


class Run(msgspec.Struct, eq=False):
    """One run of one task."""

    task: Task
    handler: Handler
    context: Context
    started: float = 0.0
    execution: asyncio.Task[None] | None = None
    """The lane that it runs in, once it has begun."""
    thread: Future[Any] | None = None
    thread_id: int = 0
    timer: asyncio.TimerHandle | None = None
    stop: Stop | None = None
    reason: str = ""
    settled: bool = False
    committing: bool = False
    """The handler's own transaction decides the outcome: what comes meanwhile is missed."""
    missed: tuple[Stop, str] | None = None
    completed: bool = False
    """Settled by that transaction; the handler may still run."""


def arguments_of(run: Run) -> tuple[tuple[Any, ...], dict[str, Any]] | Dead:
    """What the handler of *run* is called with; or what the task comes to without."""
    try:
        return run.handler.decode_arguments(run.task.payload, run.context)
    except PayloadError as error:
        return Dead("its arguments do not fit the handler", failure_of(error))


def outcome_of_return(run: Run, value: object) -> Outcome:
    """What a run came to that returned *value*."""
    return outcome_of_value(value, run.handler, runtime=time.monotonic() - run.started)


def outcome_of_raise(run: Run, error: BaseException) -> Outcome:
    """What a run came to that raised *error*; one that was told to stop has what it was told."""
    match run.stop:
        case Stop.TIMEOUT:
            return _outcome_of_failure(run, TimeoutError(run.reason))
        case Stop.CANCEL:
            return Cancelled(run.reason)
        case Stop.SHUTDOWN | Stop.LEASE_LOST | Stop.HELD:
            return Release(reason=run.reason)
        case None:
            return _outcome_of_failure(run, error)


def _outcome_of_failure(run: Run, error: BaseException) -> Outcome:
    runtime = time.monotonic() - run.started
    return outcome_of_failure(run.task, error, run.handler, runtime=runtime)
