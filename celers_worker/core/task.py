"""The life of a task.

    blocked ──parents done──▶ pending ──claim──▶ processing ──settle──▶ completed
       │                       │  ▲ ▲                │ │ ├────────────▶ cancelled ──┐
       │                       │  │ └─retry, release─┘ │ ├────────────▶ expired ────┤
       ├──── cancel, expire ───┘  │       reap         │ └────────────▶ failed ─────┤
       └─ its parents' results do not fit its payload ────────────────▶ failed      │
                                  └──────────────── requeue ────────────────────────┘

``blocked``, ``pending`` and ``processing`` are rows of the hot table. The others have left it:
``failed`` to the dead letter queue, the rest to the archive.
Nothing outside this module decides which state follows which.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID, SafeUUID

import msgspec

from celers_worker.core.uniqueness import Uniqueness


class TaskState(StrEnum):
    """Where a task is in its life."""

    BLOCKED = "blocked"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


LIVE = frozenset({TaskState.BLOCKED, TaskState.PENDING, TaskState.PROCESSING})
ARCHIVED = frozenset({TaskState.COMPLETED, TaskState.CANCELLED, TaskState.EXPIRED})

TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.BLOCKED: frozenset(
        {TaskState.PENDING, TaskState.CANCELLED, TaskState.EXPIRED, TaskState.FAILED}
    ),
    TaskState.PENDING: frozenset({TaskState.PROCESSING, TaskState.CANCELLED, TaskState.EXPIRED}),
    TaskState.PROCESSING: frozenset(
        {
            TaskState.PENDING,
            TaskState.COMPLETED,
            TaskState.CANCELLED,
            TaskState.EXPIRED,
            TaskState.FAILED,
        }
    ),
    TaskState.FAILED: frozenset({TaskState.PENDING}),
    TaskState.COMPLETED: frozenset(),
    TaskState.CANCELLED: frozenset({TaskState.PENDING}),
    TaskState.EXPIRED: frozenset({TaskState.PENDING}),
}

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRIES = 3
MAX_RETRIES_LIMIT = 1_000
PRIORITY_RANGE = range(-(2**31), 2**31)
UNIQUE_KEY_BYTES = 255


_AT_ONCE = 256
_blank, _set, _UNKNOWN = object.__new__, object.__setattr__, SafeUUID.unknown


class _IdSource:
    """UUIDv7 (RFC 9562): a millisecond clock, then a counter, then randomness.

    Ids of one process rise strictly, so that tasks enqueued in one millisecond keep their order
    and new rows go to the right edge of the primary key.
    """

    def __init__(self) -> None:
        self._last = 0
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Take new randomness, and nobody's lock: a child of a fork has its parent's."""
        self._lock = threading.Lock()
        self._random: Iterator[tuple[int]] = iter(())

    def __call__(self) -> UUID:
        with self._lock:
            found = next(self._random, None)
            if found is None:  # for many at once: to ask took longer than all the rest
                self._random = struct.iter_unpack("Q", os.urandom(8 * _AT_ONCE))
                found = next(self._random)
            # 48 bits of milliseconds and 12 of counter, which carries into the milliseconds.
            self._last = max(self._last + 1, (time.time_ns() // 1_000_000) << 12)
            stamp = self._last
        high = (stamp >> 12) << 16 | 0x7000 | stamp & 0xFFF
        return _uuid_of(high << 64 | 0x8000_0000_0000_0000 | found[0] >> 2)


def _uuid_of(number: int) -> UUID:
    """``UUID(int=number)`` in half the time, as Python itself makes them from 3.14 on.

    The constructor looks through all forms that it may be given.
    """
    made = _blank(UUID)
    _set(made, "int", number)
    _set(made, "is_safe", _UNKNOWN)
    return made


new_id = _IdSource()


# gc=False, as for all that there are many of and that can be in no cycle: the collector took half
# of the time of an enqueue_many.
class NewTask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task as its producer describes it; the id is made here, so that an enqueue can be repeated.

    ``max_retries`` is the number of runs *after* the first: the task runs at most 1 + max_retries
    times. ``delay`` counts from the database's now; ``at`` wins over it.
    """

    id: UUID = msgspec.field(default_factory=new_id)
    name: str
    payload: bytes
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    max_retries: int = DEFAULT_MAX_RETRIES
    delay: timedelta = timedelta(0)
    at: datetime | None = None
    timeout: timedelta | None = None
    expires: timedelta | None = None
    unique_key: str | None = None
    fingerprint: str | None = None
    metadata: Mapping[str, object] | None = None
    uniqueness: Uniqueness | None = None


class Enqueued(msgspec.Struct, frozen=True, gc=False):
    """What became of a NewTask: its id, or the id of the task that has its unique key."""

    id: UUID
    existing: bool = False


#: A datetime, or microseconds since ``EPOCH``, as PostgreSQL sends it: to make three datetimes of
#: each claimed task took a fifth of the worker's time, and few are ever looked at.
Instant: TypeAlias = datetime | int
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def datetime_of(instant: Instant) -> datetime:
    """*instant* as an aware datetime; the first or the last there is for what is beyond them."""
    if not isinstance(instant, int):
        return instant
    try:
        return EPOCH + timedelta(microseconds=instant)
    except OverflowError:
        return LAST if instant > 0 else FIRST


def _seconds(since: Instant, until: Instant) -> float:
    if isinstance(since, int) and isinstance(until, int):
        return (until - since) / 1e6
    return (datetime_of(until) - datetime_of(since)).total_seconds()


class Task(msgspec.Struct, frozen=True):
    """A claimed task, as a handler is given it. ``lease`` fences every write about this run.

    A struct, as NewTask, because there are many: a frozen dataclass takes five times as long to
    make.

    The order of the fields is the order of the columns in ``store.statements.CLAIMED``.
    """

    id: UUID
    lease: int
    name: str
    queue: str
    payload: bytes
    priority: int
    retry_count: int
    crash_count: int
    max_retries: int
    created: Instant
    scheduled: Instant
    started: Instant
    timeout: float | None
    expired: bool
    metadata: str | Mapping[str, object] | None = None
    in_workflow: bool = False
    """Whether other tasks may wait for its end."""

    @property
    def created_at(self) -> datetime:
        """When it was enqueued."""
        return datetime_of(self.created)

    @property
    def scheduled_at(self) -> datetime:
        """When it became due."""
        return datetime_of(self.scheduled)

    @property
    def started_at(self) -> datetime:
        """When it was claimed for this run."""
        return datetime_of(self.started)

    @property
    def waited(self) -> float:
        """Seconds from due to claimed."""
        return _seconds(self.scheduled, self.started)

    @property
    def age(self) -> float:
        """Seconds from enqueued to claimed, with the time before it was due."""
        return _seconds(self.created, self.started)

    @property
    def attempt(self) -> int:
        """The number of this run, from 1. Runs that failed and runs whose worker died count."""
        return self.retry_count + self.crash_count + 1

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure of this run is final."""
        return self.attempt > self.max_retries


@dataclass(frozen=True, slots=True)
class Demand:
    """What a worker has room for.

    ``total`` tasks in all; of each queue in ``queues`` no more than its number; of any other queue
    no more than ``others`` (None: the others are not served); of each handler in ``handlers`` no
    more than its number.
    """

    total: int
    queues: Mapping[str, int] = field(default_factory=dict)
    others: int | None = None
    handlers: Mapping[str, int] = field(default_factory=dict)

    def room(self, queue: str) -> int:
        """How many tasks of *queue* may be claimed."""
        limit = self.queues.get(queue, self.others)
        return min(self.total, limit) if limit is not None else 0

    @property
    def excluded(self) -> frozenset[str]:
        """Names of tasks that have no room at all."""
        return frozenset(name for name, room in self.handlers.items() if room <= 0)
