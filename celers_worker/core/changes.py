"""What may be changed of a task that waits, checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.options import Options
from celers_worker.core.task import TaskState

#: A task in one of these can be changed: no worker has it, and it has not ended.
CHANGEABLE = (TaskState.BLOCKED, TaskState.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """New values for a waiting task; None leaves what it has.

    ``at`` is an aware datetime, a past one is due now; ``delay`` counts from the database's now.
    ``metadata`` is laid over what there is: a key whose value is None is removed.
    """

    priority: int | None = None
    queue: str | None = None
    max_retries: int | None = None
    delay: Duration | None = None
    at: datetime | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check every value. Raises ConfigurationError, or PayloadError for ``metadata``."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) is not None
        }
        if not given:
            raise ConfigurationError("nothing is to be changed: give at least one new value.")
        if self.at is not None and self.delay is not None:
            raise ConfigurationError("at and delay both say when the task is due: choose one.")
        checked = Options(**given)
        object.__setattr__(self, "delay", checked.delay)

    @property
    def wait(self) -> timedelta | None:
        """``delay`` as it was checked."""
        return self.delay if isinstance(self.delay, timedelta) else None
