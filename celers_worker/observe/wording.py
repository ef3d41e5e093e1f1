"""What every line about a task has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celers_worker.core.foreign import trace_id
from celers_worker.core.outcome import Outcome
from celers_worker.core.task import Task


def of(task: Task) -> Mapping[str, Any]:
    """Name *task* in a line."""
    named = {
        "task": task.name,
        "id": str(task.id),
        "queue": task.queue,
        "attempt": task.attempt,
    }
    if task.metadata is not None and (trace := trace_id(task.metadata)) is not None:
        named["trace"] = trace
    return named


def word(outcome: Outcome) -> str:
    """Name *outcome* in a line."""
    return type(outcome).__name__.lower()
