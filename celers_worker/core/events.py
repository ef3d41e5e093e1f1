"""Facts that the worker emits, in the past tense. ``observe`` phrases and counts them.

Events about many tasks carry many: one object a batch, not one a task. ``Events.wants`` lets the
few that come once a task be skipped when nobody listens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from celers_worker.core.outcome import Settlement
from celers_worker.core.task import Task


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """The worker is registered and its services run."""

    worker: str
    name: str
    database: str
    queues: Sequence[str]
    handlers: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class WorkerRegistered:
    """The worker has a new id in the database: at its start, and after it had lost its lease."""

    worker: str


@dataclass(frozen=True, slots=True)
class WorkerStopping:
    """The worker claims no more."""

    reason: str
    running: int


@dataclass(frozen=True, slots=True)
class WorkerStopped:
    """The worker ended: ``released`` tasks were given back, ``abandoned`` never returned."""

    released: int
    abandoned: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SupervisorStarted:
    """A supervisor starts so many worker processes."""

    processes: int


@dataclass(frozen=True, slots=True)
class ProcessDied:
    """A worker process ended unasked; the next one starts after ``again_in`` seconds."""

    name: str
    pid: int
    how: str
    seconds: float
    again_in: float


@dataclass(frozen=True, slots=True)
class SupervisorStopping:
    """A supervisor tells its processes, of which so many run, to end."""

    reason: str
    running: int


@dataclass(frozen=True, slots=True)
class SupervisorStopped:
    """All worker processes have ended, those in ``killed`` because they were killed."""

    killed: Sequence[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class TasksEnqueued:
    """This process added tasks: how many of each (queue, name)."""

    counts: Mapping[tuple[str, str], int]
    seconds: float


@dataclass(frozen=True, slots=True)
class TasksClaimed:
    """A claim was answered, perhaps with no task."""

    tasks: Sequence[Task]
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A handler was called."""

    task: Task


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A run came to an outcome, which is not written yet."""

    settlement: Settlement
    seconds: float


@dataclass(frozen=True, slots=True)
class TasksSettled:
    """Outcomes were written."""

    settlements: Sequence[Settlement]
    seconds: float


@dataclass(frozen=True, slots=True)
class SettleRefused:
    """Outcomes came from leases that were no longer held, and changed nothing."""

    settlements: Sequence[Settlement]


@dataclass(frozen=True, slots=True)
class OutcomeIgnored:
    """A handler returned or raised something after its own transaction had completed its task."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class HookFailed:
    """A hook of a middleware raised; nothing else came of it."""

    middleware: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class TaskParked:
    """A task was given back because this worker has no handler for it."""

    task: Task
    suggestion: str


@dataclass(frozen=True, slots=True)
class LeasesLost:
    """Runs were stopped because this worker no longer holds their leases."""

    tasks: Sequence[Task]
    reason: str


@dataclass(frozen=True, slots=True)
class TaskAbandoned:
    """A handler did not stop when it was told to; its permit stays taken until it ends."""

    task: Task
    reason: str


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A process of a handler ended, ``why``: with the run of ``task``, or between two runs."""

    pid: int
    why: str
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class TasksReaped:
    """Tasks of lost workers were taken back, or buried for having lost too many."""

    released: Sequence[UUID]
    buried: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class FrozenSessionsEnded:
    """Sessions of clients that froze in the middle of a statement were ended."""

    count: int


@dataclass(frozen=True, slots=True)
class TasksRecovered:
    """Tasks that a claim had taken without its answer arriving were given back."""

    count: int


@dataclass(frozen=True, slots=True)
class TasksPruned:
    """Finished tasks and results past their retention were removed: how many of each table."""

    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class WorkflowsTimedOut:
    """Workflows ran longer than their timeouts and were stopped."""

    workflows: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class SchedulesDeclared:
    """Schedules of the code or the configuration were added, or changed."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class TicksFired:
    """Ticks of a schedule became tasks; ``late`` is the time since the newest, in seconds."""

    schedule: str
    tasks: Sequence[UUID]
    late: float


@dataclass(frozen=True, slots=True)
class TicksMissed:
    """Nobody dealt in time with a schedule's ticks from ``since`` to ``until``: given up."""

    schedule: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class TicksOverlapped:
    """So many ticks of a schedule were given up because its last task had not ended."""

    schedule: str
    count: int


@dataclass(frozen=True, slots=True)
class ScheduleUnreadable:
    """This worker leaves a schedule alone, because it cannot read its row."""

    schedule: str
    problem: str


@dataclass(frozen=True, slots=True)
class DutyDone:
    """A duty of the upkeep that is due now and then was done, for so many tasks."""

    duty: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class QueuesCounted:
    """The state of the queues, for gauges."""

    pending: Mapping[str, int]
    processing: Mapping[str, int]
    oldest_pending: Mapping[str, float]
    dead: int
    workers: int
    scheduled: Mapping[str, int] = field(default_factory=dict)
    blocked: Mapping[str, int] = field(default_factory=dict)
    busy: int = 0
    room: int = 0
    """Tasks that all live workers together may run at once."""


@dataclass(frozen=True, slots=True)
class ServiceFailed:
    """A service's tick raised; it is tried again after ``retry_in`` seconds."""

    service: str
    error: BaseException
    failures: int
    retry_in: float


@dataclass(frozen=True, slots=True)
class ServiceRecovered:
    """A service's tick succeeded after failures."""

    service: str
    failures: int


@dataclass(frozen=True, slots=True)
class LoopBlocked:
    """The event loop did not run for so many seconds: a handler holds it."""

    seconds: float
    suspects: Sequence[str]


@dataclass(frozen=True, slots=True)
class LoopGivenUp:
    """The event loop did not come back in time, so this process ends; ``task`` holds it."""

    seconds: float
    suspects: Sequence[str]
    task: Task | None


EventT = TypeVar("EventT")


class Events:
    """Hands each event to the listeners of its type, at once and in order."""

    def __init__(self) -> None:
        self._listeners: defaultdict[type, list[Callable[[Any], None]]] = defaultdict(list)

    def listen(self, event_type: type[EventT], listener: Callable[[EventT], None]) -> None:
        """Call *listener* with every event of this type. It must neither block nor raise."""
        self._listeners[event_type].append(listener)

    def forget(self, event_type: type[EventT], listener: Callable[[EventT], None]) -> None:
        """Call *listener* no more. Raises ValueError if it does not listen."""
        self._listeners[event_type].remove(listener)
        if not self._listeners[event_type]:
            del self._listeners[event_type]

    def wants(self, event_type: type) -> bool:
        """Whether anybody listens: lets the caller save making an event for each task."""
        return event_type in self._listeners

    def emit(self, event: object) -> None:
        """Tell the listeners of *event*."""
        for listener in self._listeners.get(type(event), ()):
            listener(event)
