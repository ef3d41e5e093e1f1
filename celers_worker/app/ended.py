"""How a task ended, as whoever waits for it is told: a value of the annotated type, or an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from celers_worker.core import codec as codecs
from celers_worker.core.codec import RAW
from celers_worker.core.errors import PayloadError, ResultTimeout, TaskFailed, TaskNotFound
from celers_worker.core.exceptions import read_fields, rebuilt
from celers_worker.core.handler import Handler
from celers_worker.core.registry import Registry
from celers_worker.core.task import TaskState
from celers_worker.store.results import Ending


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """What is known of a task: its ``state``, None if there is no such task (any more).

    ``runtime``: how long its last run took, once it has ended.
    """

    id: UUID
    state: TaskState | None
    name: str | None
    runtime: timedelta | None
    _ending: Ending | None = field(repr=False)
    _handler: Handler | None = field(repr=False, compare=False)

    @classmethod
    def of(cls, task_id: UUID, ending: Ending | None, registry: Registry) -> TaskStatus:
        """What *ending* tells of a task, by what its handler declares if that is known here."""
        if ending is None:
            return cls(task_id, None, None, None, None, None)
        runtime = None if ending.runtime is None else timedelta(seconds=ending.runtime)
        handler = None if ending.name is None else registry.get(ending.name)
        return cls(task_id, ending.state, ending.name, runtime, ending, handler)

    @property
    def ended(self) -> bool:
        """Whether it runs no more: it ended, in whatever way, or there is no such task."""
        return self._ending is None or self._ending.ended

    @property
    def error(self) -> str | None:
        """Why it did not complete: the type and the message of its exception, or the reason."""
        return None if self._ending is None else self._ending.error

    def result(self) -> Any:
        """What its handler returned, as its annotation says.

        Raises TaskFailed if it ended otherwise, or the very exception if its handler declares that
        with ``raises``; ResultTimeout if it has not ended, TaskNotFound if there is no such task.
        """
        ending = self._ending
        if ending is None:
            raise TaskNotFound(f"there is no task {self.id}, or its retention is over.")
        if not ending.ended:
            raise ResultTimeout(f"task {self.id} is still {ending.state}.")
        if ending.state is not TaskState.COMPLETED:
            raise self._failure(ending)
        return self._value(ending)

    def _value(self, ending: Ending) -> Any:
        handler = self._handler
        if ending.result is None:
            return None
        if ending.codec is None:
            return ending.value if handler is None else handler.result.converted(ending.value)
        known = [RAW, *([handler.codec] if handler is not None and handler.codec else [])]
        codec = next((codec for codec in known if codec.name == ending.codec), None)
        if codec is None:
            raise PayloadError(
                f"the result of task {self.id} is in the codec {ending.codec!r}, which only an "
                f"application with the handler {ending.name!r} can read."
            )
        return codecs.decoded(codec, ending.result, "result")

    def _failure(self, ending: Ending) -> Exception:
        fields = read_fields(ending.error_data)
        failed = TaskFailed(
            f"task {self.id} {ending.state}: {ending.error or 'no reason is known'}",
            state=ending.state,
            error=ending.error,
            traceback=ending.traceback,
            type=ending.error_type,
            data=None if fields is None else fields.attributes,
        )
        if fields is None or self._handler is None or ending.error_type is None:
            return failed
        declared = rebuilt(ending.error_type, failed.message or "", fields, self._handler.raises)
        if declared is None:
            return failed
        declared.__cause__ = failed
        return declared
