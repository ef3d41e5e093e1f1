"""What a worker and the process of a handler say to each other: one struct a message.

Both are ours and one release, so nothing is versioned. Nothing is pickled: what a handler has
broken in its process can break that process only.

    worker                                process
    ──────                                ───────
    Setup     once                 ▶
    Start     a task               ▶
                                   ◀      Begun     its module is imported, the handler is called
                                   ◀      Refused   it cannot be run here
                                   ◀      Told      its progress
                                   ◀      Wrote     a line of its log
                                   ◀      Ask       tasks to enqueue
    Answer    their ids            ▶
    Stop      cancelled, stopping  ▶
                                   ◀      Ended     the outcome
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

import msgspec

from celers_worker.core.outcome import Cancelled, Completed, Dead, Expired, Outcome, Release, Retry
from celers_worker.core.task import NewTask, Task

#: The length of a message stands before it.
LENGTH = struct.Struct("!I")
#: Far more than any result or batch of tasks may have.
LONGEST = 256 * 1024 * 1024

_OUTCOMES: dict[str, msgspec.msgpack.Decoder[Outcome]] = {
    kind.__name__: msgspec.msgpack.Decoder(kind)
    for kind in (Completed, Retry, Release, Cancelled, Expired, Dead)
}


class Setup(msgspec.Struct, frozen=True, tag=True):
    """What holds for every run: the configuration without its database, as JSON, and a label."""

    config: bytes
    label: str


class Start(msgspec.Struct, frozen=True, tag=True):
    """Run *task*, whose handler *module* declares: a module's name, or the path of a program."""

    module: str
    task: Task
    memory: int | None


class Stop(msgspec.Struct, frozen=True, tag=True):
    """The run should end; *asks*: its soft timeout is over, and nothing is cancelled."""

    asks: bool


class Answer(msgspec.Struct, frozen=True, tag=True):
    """What became of the tasks of the Ask of this number; or why they could not be added."""

    number: int
    ids: Sequence[UUID] = ()
    error: str | None = None


class Begun(msgspec.Struct, frozen=True, tag=True):
    """The handler is about to be called: its time runs from now."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Instead of Begun: the handler's module cannot be imported here, for instance."""

    why: str


class Told(msgspec.Struct, frozen=True, tag=True):
    """How far the run is."""

    done: float
    total: float | None
    message: str | None


class Wrote(msgspec.Struct, frozen=True, tag=True):
    """A line that the handler logged, to be kept with its task."""

    level: str
    text: str


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Please enqueue these."""

    number: int
    tasks: Sequence[NewTask]


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The outcome of the run. *spoilt*: why no other should run in this process, or None."""

    kind: str
    outcome: bytes
    spoilt: str | None

    @classmethod
    def of(cls, outcome: Outcome, spoilt: str | None) -> Ended:
        """The message that carries *outcome*."""
        return cls(type(outcome).__name__, msgspec.msgpack.encode(outcome), spoilt)

    def read(self) -> Outcome:
        """The outcome. Raises MsgspecError if the process wrote nonsense."""
        if (decoder := _OUTCOMES.get(self.kind)) is None:
            raise msgspec.ValidationError(f"no outcome is called {self.kind[:40]!r}")
        return decoder.decode(self.outcome)


ToProcess: TypeAlias = Setup | Start | Stop | Answer
ToWorker: TypeAlias = Begun | Refused | Told | Wrote | Ask | Ended

_to_process: msgspec.msgpack.Decoder[ToProcess] = msgspec.msgpack.Decoder(ToProcess)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)


def framed(message: ToProcess | ToWorker) -> bytes:
    """The bytes of *message*, with their length before them. Raises MsgspecError."""
    body = msgspec.msgpack.encode(message)
    checked(len(body))
    return LENGTH.pack(len(body)) + body


def checked(length: int) -> int:
    """The *length* of a message, if it can be one. Raises MsgspecError."""
    if length > LONGEST:
        raise msgspec.ValidationError(f"a message of {length} bytes is none")
    return length


def said_by_worker(body: bytes) -> ToProcess:
    """Read a message in the process. Raises MsgspecError."""
    return _to_process.decode(body)


def said_by_process(body: bytes) -> ToWorker:
    """Read a message in the worker. Raises MsgspecError."""
    return _to_worker.decode(body)
