"""How tasks ended: what is kept of it, asked for many tasks at once, and forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from celers_worker.core.payload import decode
from celers_worker.core.task import LIVE, TaskState
from celers_worker.store import result_statements as statements
from celers_worker.store.transaction import Transaction
from celers_worker.store.values import chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is known of a task to who waits for it; of a live one only its name and its state.

    ``runtime``: the seconds of its last run. ``error``: as the lists show it, type and message.
    """

    state: TaskState
    name: str | None = field(default=None, compare=False)
    result: bytes | None = None
    codec: str | None = None
    error: str | None = None
    error_type: str | None = None
    error_data: bytes | None = None
    traceback: str | None = None
    runtime: float | None = field(default=None, compare=False)

    @property
    def ended(self) -> bool:
        """Whether the task runs no more."""
        return self.state not in LIVE

    @property
    def value(self) -> Any:
        """What the handler returned, as JSON has it, or as bytes if it is not JSON."""
        if self.result is None or self.codec is not None:
            return self.result
        return decode(self.result)


def endings_of(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, Ending]:
    """How tasks ended, or for live ones only their states; of what never was there is nothing."""
    found: dict[UUID, Ending] = {}
    for chunk in chunks(list(dict.fromkeys(ids))):
        found |= _endings(transaction, chunk)
        # Looked for among the live and then among the dead, it may have been requeued in between.
        if missing := [task_id for task_id in chunk if task_id not in found]:
            found |= _live(transaction, missing)
    return found


def ending_of(transaction: Transaction, task_id: UUID) -> Ending | None:
    """How a task ended, or for a live one only its state; None: there is no such task."""
    return endings_of(transaction, [task_id]).get(task_id)


def is_kept(transaction: Transaction, task_id: UUID) -> bool:
    """Whether there is a value or a failure to forget."""
    return bool(_kept(transaction, [task_id]))


def forget(transaction: Transaction, ids: Sequence[UUID]) -> int:
    """Delete what is kept of tasks beyond their rows; how many there were."""
    return sum(
        transaction.connection.execute(statements.FORGET_RESULTS, {"ids": chunk}).rowcount
        for chunk in chunks(ids)
    )


def _live(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Ending]:
    rows = transaction.connection.execute(statements.LIVE_STATES, {"ids": list(ids)})
    return {
        row.id: Ending(state=TaskState(row.state), name=row.task_name, error=row.error_message)
        for row in rows
    }


def _endings(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Ending]:
    found = _live(transaction, ids)
    rows: dict[UUID, Any] = {}
    for statement in (statements.ARCHIVED_ENDINGS, statements.DEAD_ENDINGS):
        if left := [task_id for task_id in ids if task_id not in found and task_id not in rows]:
            rows |= {
                row.id: row for row in transaction.connection.execute(statement, {"ids": left})
            }
    ended = [task_id for task_id in ids if task_id not in found]
    kept = _kept(transaction, ended) if ended else {}
    attempts = _failed_attempts(
        transaction,
        [task_id for task_id, row in rows.items() if row.state != TaskState.COMPLETED],
    )
    for task_id, row in rows.items():
        found[task_id] = _ending(row, kept.get(task_id), attempts.get(task_id))
    # A result outlives its task if its retention says so.
    return found | {task_id: _kept_ending(kept[task_id]) for task_id in kept if task_id not in rows}


def _kept(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Any]:
    rows = transaction.connection.execute(statements.RESULTS, {"ids": list(ids)})
    return {row.task_id: row for row in rows}


def _failed_attempts(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Any]:
    if not ids:
        return {}
    rows = transaction.connection.execute(statements.FAILED_ATTEMPTS, {"ids": list(ids)})
    return {row.task_id: row for row in rows}


def _ending(row: Any, kept: Any, attempt: Any) -> Ending:
    state = TaskState(row.state)
    runtime = None
    if row.started_at is not None and row.completed_at is not None:
        runtime = max((row.completed_at - row.started_at).total_seconds(), 0.0)
    if kept is not None and kept.runtime is not None:
        runtime = kept.runtime
    if state is TaskState.COMPLETED:
        return Ending(
            state=state,
            name=row.task_name,
            result=None if kept is None else bytes(kept.result),
            codec=None if kept is None else kept.codec,
            runtime=runtime,
        )
    failed = state is TaskState.FAILED
    told = kept if failed and kept is not None else attempt
    return Ending(
        state=state,
        name=row.task_name,
        error=row.error_message,
        error_type=told.error_type if failed and told is not None else None,
        error_data=_data(kept) if failed else None,
        traceback=None if told is None else told.traceback,
        runtime=runtime,
    )


def _kept_ending(kept: Any) -> Ending:
    """Of a task whose own row is gone."""
    state = TaskState(kept.state)
    if state is TaskState.COMPLETED:
        return Ending(
            state=state,
            name=kept.task_name,
            result=bytes(kept.result),
            codec=kept.codec,
            runtime=kept.runtime,
        )
    return Ending(
        state=state,
        name=kept.task_name,
        error=f"{kept.error_type}: {kept.error_message}" if kept.error_message else kept.error_type,
        error_type=kept.error_type,
        error_data=_data(kept),
        traceback=kept.traceback,
        runtime=kept.runtime,
    )


def _data(kept: Any) -> bytes | None:
    return None if kept is None or kept.error_data is None else bytes(kept.error_data)
