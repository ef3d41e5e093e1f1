"""A run that failed, as it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from celers_worker.core.outcome import Failure


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A run that failed, or whose worker died with it."""

    task_id: UUID
    lease: int
    number: int
    worker: str | None
    started_at: datetime | None
    failure: Failure
