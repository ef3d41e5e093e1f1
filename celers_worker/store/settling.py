"""Settling: outcomes of runs as one transaction writes them, on every database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Outcome,
    Release,
    Retry,
    Settlement,
)
from celers_worker.core.task import Task, TaskState
from celers_worker.store import result_statements, statements
from celers_worker.store.attempt import FailedAttempt
from celers_worker.store.values import chunks, result_values
from celers_worker.store.workflow import progress
from celers_worker.store.workflow.progress import Ended

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction


class Settling:
    """Writes the outcomes that one worker brings."""

    def __init__(self, transaction: Transaction, worker: str) -> None:
        self._transaction = transaction
        self._worker = worker

    def write(self, settlements: Sequence[Settlement], *, keep_completed: bool) -> set[UUID]:
        """See ``Transaction.settle``."""
        # Before their rows: in one order everywhere.
        progress.lock(
            self._transaction, [one.task.id for one in settlements if one.task.in_workflow]
        )
        held = {
            row.id: row
            for chunk in chunks(settlements)
            for row in self._transaction.connection.execute(
                statements.HELD, {"ids": [settlement.task.id for settlement in chunk]}
            )
        }
        by_kind: defaultdict[type, list[tuple[Task, Any]]] = defaultdict(list)
        settled = set()
        ended: dict[UUID, Ended] = {}
        for settlement in settlements:
            row = held.get(settlement.task.id)
            if row is not None and row.lease == settlement.task.lease:
                outcome = _unless_cancelled(settlement.outcome, row)
                by_kind[type(outcome)].append((settlement.task, outcome))
                settled.add(settlement.task.id)
                if row.workflow_id is not None and (end := progress.end_of(outcome)) is not None:
                    ended[settlement.task.id] = end
        self._complete(by_kind[Completed], keep=keep_completed)
        self._cancel(by_kind[Cancelled])
        self._transaction.move_to_archive(
            [task.id for task, _ in by_kind[Expired]], TaskState.EXPIRED
        )
        self._retry(by_kind[Retry])
        self._release(by_kind[Release])
        self._transaction.record_attempts(
            [
                FailedAttempt(
                    task.id,
                    task.lease,
                    task.attempt,
                    self._worker,
                    task.started_at,
                    outcome.failure,
                )
                for task, outcome in (*by_kind[Retry], *by_kind[Dead])
            ]
        )
        for task, outcome in by_kind[Dead]:
            message = str(outcome.failure)
            self._transaction.move_to_dead_letters(
                [task.id], reason=outcome.reason, message=message, failed=1
            )
        self._keep_results(by_kind[Dead])
        if any(by_kind[kind] for kind in (Completed, Cancelled, Expired, Dead)):
            self._transaction.tell_ended()
        progress.move_on(self._transaction, ended)
        return settled

    def _complete(self, group: Sequence[tuple[Task, Completed]], *, keep: bool) -> None:
        self._keep_results([one for one in group if one[1].result is not None])
        ids = [task.id for task, _ in group]
        if keep:
            self._transaction.move_to_archive(ids, TaskState.COMPLETED)
        else:
            self._transaction.delete(ids)

    def _keep_results(self, group: Sequence[tuple[Task, Completed | Dead]]) -> None:
        """Keep values that were returned, and failures; with no time to be kept, not even once."""
        values = [
            result_values(task, outcome)
            for task, outcome in group
            if outcome.keep is None or outcome.keep > timedelta(0)
        ]
        if values:
            self._transaction.connection.execute(result_statements.INSERT_RESULT, values)

    def _cancel(self, group: Sequence[tuple[Task, Cancelled]]) -> None:
        by_reason: defaultdict[str, list[UUID]] = defaultdict(list)
        for task, outcome in group:
            by_reason[outcome.reason].append(task.id)
        for reason, ids in by_reason.items():
            self._transaction.move_to_archive(ids, TaskState.CANCELLED, reason)

    def _retry(self, group: Sequence[tuple[Task, Retry]]) -> None:
        if group:
            self._transaction.connection.execute(
                statements.RETRY,
                [
                    {
                        "task_id": task.id,
                        "wait": outcome.delay.total_seconds(),
                        "message": str(outcome.failure),
                    }
                    for task, outcome in group
                ],
            )

    def _release(self, group: Sequence[tuple[Task, Release]]) -> None:
        if group:
            self._transaction.connection.execute(
                statements.RELEASE,
                [
                    {
                        "task_id": task.id,
                        "wait": None if outcome.delay is None else outcome.delay.total_seconds(),
                        "message": outcome.reason,
                    }
                    for task, outcome in group
                ],
            )


def _unless_cancelled(outcome: Outcome, row: Any) -> Outcome:
    """A task that was to be cancelled while it ran does not go back to be run again.

    Nor does one that a newer task with its unique key replaced: it has a reason, but no request.
    """
    unwanted = row.cancel_reason is not None or row.cancel_requested_at is not None
    if unwanted and isinstance(outcome, (Retry, Release)):
        return Cancelled(row.cancel_reason or "cancelled")
    return outcome
