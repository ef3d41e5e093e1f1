"""Values on their way into rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from celers_worker.core.duration import LONGEST
from celers_worker.core.outcome import Completed, Dead
from celers_worker.core.task import DEFAULT_QUEUE, NewTask, Task, TaskState

#: Ids in one IN list, rows in one INSERT: well under every server's limits.
CHUNK = 1_000


def new_values(task: NewTask) -> dict[str, Any]:
    """The binds of INSERT_TASKS for *task*."""
    return {
        "new_id": task.id,
        "new_name": task.name,
        "new_payload": task.payload,
        "new_priority": task.priority,
        "new_max_retries": task.max_retries,
        "new_at": task.at,
        "new_delay": task.delay.total_seconds(),
        "new_metadata": task.metadata,
        "new_queue": task.queue,
        "new_timeout": None if task.timeout is None else task.timeout.total_seconds(),
        "new_expires": None if task.expires is None else task.expires.total_seconds(),
        "new_unique_key": task.unique_key,
        "new_fingerprint": task.fingerprint,
    }


def result_values(task: Task, outcome: Completed | Dead) -> dict[str, Any]:
    """The binds of INSERT_RESULT: what is kept of *task* beside its own row."""
    values: dict[str, Any] = {
        "of_task": task.id,
        "of_name": task.name,
        "seconds": outcome.runtime,
        "keep": None if outcome.keep is None else outcome.keep.total_seconds(),
        **dict.fromkeys(("coded", "kind", "message", "data", "trace")),
    }
    if isinstance(outcome, Completed):
        return values | {
            "ended_as": TaskState.COMPLETED.value,
            "value": outcome.result,
            "coded": outcome.codec,
        }
    failure = outcome.failure
    return values | {
        "ended_as": TaskState.FAILED.value,
        "value": b"",
        "kind": failure.type,
        "message": failure.message,
        "data": failure.data,
        "trace": failure.traceback,
    }


def adopted_values(metadata: object) -> dict[str, Any]:
    """Read the columns that CeleRS 0.2 keeps in ``metadata``; tolerates anything."""
    found = metadata if isinstance(metadata, dict) else {}
    queue, timeout = _text(found.get("queue"), 129), found.get("timeout_secs")
    seconds = timeout if isinstance(timeout, (int, float)) and timeout is not True else 0
    in_time = 0 < seconds <= LONGEST.total_seconds()
    return {
        "to_queue": queue if queue and len(queue) <= 128 else DEFAULT_QUEUE,
        "to_timeout": float(seconds) if in_time else None,
        "to_group": _text(found.get("group_id"), 36),
        "to_chord": _text(found.get("chord_id"), 36),
    }


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterable[list[Any]]:
    """Cut *items* into lists of at most *size*."""
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def _text(value: object, length: int) -> str | None:
    """The beginning of a text, without lone surrogates, which no driver can send."""
    return value[:length].encode(errors="replace").decode() if isinstance(value, str) else None
