"""Stopping a whole workflow: what waits is cancelled at once, what runs is asked to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from celers_worker.core.task import TaskState
from celers_worker.core.workflow import WorkflowState
from celers_worker.store.values import chunks
from celers_worker.store.workflow import progress, whole_statements
from celers_worker.store.workflow.progress import Ended

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction


def cancel(transaction: Transaction, workflow_id: UUID, reason: str) -> WorkflowState | None:
    """Cancel a workflow, and return the state it was in; None: there is no such workflow.

    One that has ended is left alone. One whose steps run ends when the last of them has stopped.
    """
    locked = progress.lock_workflows(transaction, [workflow_id])
    if not locked:
        return None
    workflow = locked[workflow_id]
    state = WorkflowState(workflow.state)
    if state is WorkflowState.RUNNING and workflow.cancel_reason is None:
        stop(transaction, workflow, reason=reason)
    return state


def stop(
    transaction: Transaction, workflow: Any, *, reason: str | None = None, error: str | None = None
) -> None:
    """Stop a workflow whose row is locked: for a person's *reason*, or because of an *error*."""
    why = reason or error or "stopped"
    rows = transaction.connection.execute(
        whole_statements.LIVE_MEMBERS, {"workflow": workflow.id}
    ).all()
    waiting = [row.id for row in rows if row.state != TaskState.PROCESSING]
    running = [row.id for row in rows if row.state == TaskState.PROCESSING]
    transaction.connection.execute(
        whole_statements.STOP_WORKFLOW,
        {
            "workflow": workflow.id,
            "reason": None if reason is None else reason[:255],
            "message": error,
        },
    )
    for chunk in chunks(running):
        transaction.connection.execute(
            whole_statements.ASK_TO_STOP, {"ids": chunk, "reason": f"its workflow: {why}"[:255]}
        )
    if running:
        transaction.nudge()
    cancelled = f"its workflow was stopped: {why}"
    transaction.move_to_archive(waiting, TaskState.CANCELLED, cancelled)
    if waiting:
        transaction.tell_ended()
    progress.move_on(
        transaction,
        dict.fromkeys(waiting, Ended(TaskState.CANCELLED, cancelled)),
        # Read again, for what is written above decides how it ends.
        workflows=progress.lock_workflows(transaction, [workflow.id]),
    )
