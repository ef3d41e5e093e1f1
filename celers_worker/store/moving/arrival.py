"""What becomes of a task's row that arrives in a database: rules only, no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celers_worker.core.task import ARCHIVED, LIVE, TaskState

Row = Mapping[str, Any]

#: What an old life left behind and a new one must not see.
_CLEARED: Mapping[str, Any] = {
    "started_at": None,
    "completed_at": None,
    "worker_id": None,
    "expires_at": None,
    "cancel_requested_at": None,
    "cancel_reason": None,
}
#: What can differ between two copies of a live task with the same lease: what a person, the end of
#: a parent, or the first look at a foreign row has changed.
CHANGEABLE = ("state", "scheduled_at", "priority", "waits_for", "queue_name")


class Conflict(StrEnum):
    """What to do with a row that is there already."""

    SKIP = "skip"
    """Keep the one that is there."""
    REPLACE = "replace"
    """Take the one that arrives."""
    FAIL = "fail"
    """Refuse."""
    NEWER = "newer"
    """Take the one that was written last, by the lease."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A task that is in the database already, as far as it matters to one that arrives."""

    state: TaskState
    lease: int
    row: Row


def arriving(row: Row, *, as_pending: bool) -> dict[str, Any]:
    """The row as it comes in: nobody runs it here.

    *as_pending*: dead, cancelled and expired tasks start anew, with all their attempts. Completed
    ones stay completed, for what they did is done.
    """
    state = TaskState(row["state"])
    if state is TaskState.PROCESSING:
        # The lease rises, so that what its worker may still write finds nothing.
        return {
            **row,
            "state": TaskState.PENDING.value,
            "lease": row["lease"] + 1,
            "worker_id": None,
            "started_at": None,
        }
    if as_pending and state not in LIVE and state is not TaskState.COMPLETED:
        return {
            **row,
            **_CLEARED,
            "state": TaskState.PENDING.value,
            "lease": row["lease"] + 1,
            "retry_count": 0,
            "crash_count": 0,
        }
    return dict(row)


def wins(row: Row, resident: Resident, conflict: Conflict) -> bool:
    """Whether *row* takes the place of a task with its id that is there already."""
    match conflict:
        case Conflict.SKIP | Conflict.FAIL:
            return False
        case Conflict.REPLACE:
            return True
        case Conflict.NEWER:
            return _is_newer(row, resident)


def above(row: dict[str, Any], resident: Resident) -> dict[str, Any]:
    """*row* with a lease that no run of the *resident* it replaces can settle.

    While a task waits, its lease is beyond that of every run; else it is that of the last one.
    """
    if TaskState(row["state"]) not in LIVE:
        return row
    waits = resident.state in (TaskState.PENDING, TaskState.BLOCKED)
    return {**row, "lease": max(row["lease"], resident.lease + (not waits))}


def _is_newer(row: Row, resident: Resident) -> bool:
    """A lease rises with every claim and every way back, and ends with the task."""
    if row["lease"] != resident.lease:
        return bool(row["lease"] > resident.lease)
    ended = TaskState(row["state"]) not in LIVE
    if ended or resident.state not in LIVE:
        return ended and resident.state in LIVE
    return resident.state is not TaskState.PROCESSING and any(
        row[name] != resident.row[name] for name in CHANGEABLE
    )


def place_of(state: TaskState) -> str:
    """The part that keeps tasks in this state."""
    if state in LIVE:
        return "tasks"
    return "archive" if state in ARCHIVED else "dead"
