"""The exceptions of Celers.

    CelersError
    ├── ConfigurationError   a setting, a declaration or an option is wrong; lists every problem
    ├── SchemaError          the database is not at this version's schema; names the command to run
    ├── PayloadError         arguments or a result cannot be stored; names the place in them
    ├── QueueFull            the queue has as many waiting tasks as its capacity allows
    ├── UniqueKeyTaken       a task has the unique key, and on_conflict is "raise"
    ├── TaskNotFound         no task with this id, live, archived or dead
    ├── ScheduleNotFound     no schedule of this name
    ├── TaskFailed           the task that was waited for did not complete
    ├── ResultTimeout        the task that was waited for has not ended yet
    ├── ProcessLost          the process of this run ended without an outcome; says how
    ├── LeaseLost            this run does not hold its task any more; what it wrote is undone
    ├── ExportError          a file of an export is damaged, unfinished or newer; names the line
    └── StoreError           the database failed
        ├── Unavailable      it cannot be reached, or is full; the same call may work later
        └── Refused          it answered no, and will again: a missing database, a password
            ├── Forbidden    a right is missing; names the command that shows how to grant it
            ├── Untrusted    the way to it is not as safe as it must be; says what mends it
            └── UnknownPooler    a pooler is in the way that the configuration does not name

Each message says what happened, where, why and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID


class CelersError(Exception):
    """Everything Celers raises on purpose."""


class ConfigurationError(CelersError):
    """One or more settings are wrong.

    ``problems`` holds a sentence for each, so that a person mends them in one go.
    """

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))


class SchemaError(CelersError):
    """The tables are missing, older or newer than this version needs."""


class PayloadError(CelersError, ValueError):
    """A value cannot be stored as JSON; the message holds its path."""


class QueueFull(CelersError):
    """The queue is full: nothing of the batch was added. The same call may work later."""

    def __init__(self, queue: str, *, capacity: int, waiting: int, refused: int) -> None:
        self.queue = queue
        self.capacity = capacity
        tasks = "the task was" if refused == 1 else f"the {refused:,} tasks were"
        do = (
            "Try again later, start more workers, or raise"
            if refused <= capacity
            else "They can never be added at once: add fewer at a time, or raise"
        )
        super().__init__(
            f"the queue {queue!r} is full: {waiting:,} tasks wait and its capacity is "
            f"{capacity:,}, so {tasks} not added. {do} the capacity in [queues.{queue}]."
        )


class UniqueKeyTaken(CelersError):
    """Another task has the unique key: ``task_id``. Nothing of the batch was added."""

    def __init__(self, unique_key: str, task_id: UUID) -> None:
        self.unique_key = unique_key
        self.task_id = task_id
        super().__init__(
            f"the unique key {unique_key!r} is taken by task {task_id}. Let that one end, or "
            'enqueue with on_conflict="return" or "replace".'
        )


class TaskNotFound(CelersError, LookupError):
    """No task with this id exists, live, archived or dead."""


class ScheduleNotFound(CelersError, LookupError):
    """No schedule of this name exists; the message holds the nearest name."""


class TaskFailed(CelersError):
    """The task ended without completing: ``state`` says how, ``error`` why.

    Of a task whose handler raised there are the exception's ``type``, as text, its ``message`` and
    its ``traceback``; and, if the handler declares it with ``raises``, its attributes in ``data``.
    """

    def __init__(
        self,
        message: str,
        *,
        state: str,
        error: str | None,
        traceback: str | None,
        type: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.state = state
        self.error = error
        self.traceback = traceback
        self.type = type
        self.data: Mapping[str, Any] = data or {}

    @property
    def message(self) -> str | None:
        """What the handler's exception said."""
        if self.error is None or self.type is None:
            return self.error
        return self.error.removeprefix(self.type).removeprefix(": ")


class ResultTimeout(CelersError, TimeoutError):
    """A task did not end within the time given; it may still do so. ``ids``: which ones."""

    def __init__(self, message: str, *, ids: Sequence[UUID] = ()) -> None:
        super().__init__(message)
        self.ids = ids


class ProcessLost(CelersError):
    """The process in which a handler ran ended before the handler did: by itself, or killed."""


class LeaseLost(CelersError):
    """This run does not hold its task any more: its transaction was rolled back, as a whole."""


class ExportError(CelersError):
    """A file of an export is damaged, not finished, or newer than this version; names the line."""


class StoreError(CelersError):
    """The database failed; ``transient``: the same call may work later, by itself."""

    transient: ClassVar[bool] = False
    kind: str = "other"
    """In a word what it was, for counts: lost, busy, conflict, refused, data …"""


class Unavailable(StoreError):
    """The database cannot be reached, is read-only, full or out of time; waiting may help.

    A write that ends so may or may not have happened.
    """

    transient = True
    kind = "unavailable"


class Refused(StoreError):
    """The database answered no and will do so again: rights, a missing database or table."""

    kind = "refused"


class Forbidden(Refused):
    """The user of the database may not do this; the message names the command ``celers grants``."""


class Untrusted(Refused):
    """No connection was made, for it would not have been safe: a certificate, or no TLS at all."""


class UnknownPooler(Refused):
    """A connection pooler keeps no session, and nobody has said so."""
