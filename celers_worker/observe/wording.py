"""What every line about a task has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celers_worker.core.outcome import Outcome
from celers_worker.core.task import Task


def of(task: Task) -> Mapping[str, Any]:
    """Name *task* in a line."""
    return {"task": task.name, "id": str(task.id), "queue": task.queue}


def word(outcome: Outcome) -> str:
    """Name *outcome* in a line."""
    return type(outcome).__name__.lower()
