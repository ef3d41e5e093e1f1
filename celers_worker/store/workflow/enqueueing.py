"""Enqueueing: a whole workflow in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from celers_worker.core.task import NewTask, TaskState
from celers_worker.core.workflow import NewWorkflow, Policy
from celers_worker.store.statements import NOW
from celers_worker.store.values import chunks, new_values
from celers_worker.store.workflow import statements

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction


def enqueue(transaction: Transaction, new: NewWorkflow, *, repeated: bool = False) -> None:
    """Add a workflow with all its tasks; those that wait for none are pending at once.

    *repeated*: an earlier try may have succeeded, and then nothing is added. The tasks' unique keys
    must be free.
    """
    known = {"workflow": new.id}
    if repeated and transaction.connection.execute(statements.KNOWN_WORKFLOW, known).first():
        return
    now = transaction.connection.execute(NOW).scalar_one()
    transaction.connection.execute(
        statements.INSERT_WORKFLOW,
        {
            **known,
            "called": new.name,
            "since": now,
            "seconds": None if new.timeout is None else new.timeout.total_seconds(),
            "until": None if new.timeout is None else now + new.timeout,
            "shape": msgspec.to_builtins(new.result),
        },
    )
    blocked = new.blocked
    for chunk in chunks(_steps(new, blocked)):
        transaction.connection.execute(statements.INSERT_STEP, chunk)
    for chunk in chunks(_edges(new)):
        transaction.connection.execute(statements.INSERT_EDGE, chunk)
    for chunk in chunks([_row(new.id, task, now, blocked) for task in new.steps]):
        transaction.connection.execute(statements.INSERT_MEMBERS, chunk)
    transaction.announce(
        {
            task.queue
            for task in new.steps
            if task.id not in blocked and not task.delay and task.at is None
        }
    )


def _steps(new: NewWorkflow, blocked: frozenset[UUID]) -> list[dict[str, Any]]:
    given = {edge.child for edge in new.edges if edge.path is not None}
    rows: list[dict[str, Any]] = [
        {
            "workflow": new.id,
            "of_task": task.id,
            "place": position,
            "called": task.name,
            "wait": task.delay.total_seconds() if task.delay and task.id in blocked else None,
            "before": task.payload if task.id in given else None,
        }
        for position, task in enumerate(new.steps)
    ]
    if any(edge.parent == new.id for edge in new.edges):
        # Something follows the whole: it waits for it as for a step.
        whole = {"of_task": new.id, "place": len(rows), "called": new.name or "workflow"}
        rows.append({"workflow": new.id, "wait": None, "before": None, **whole})
    return rows


def _edges(new: NewWorkflow) -> list[dict[str, Any]]:
    return [
        {
            "child": edge.child,
            "parent": edge.parent,
            "workflow": new.id,
            "place": position,
            "tolerance": Policy(edge.policy).value,
            "goes_to": None if edge.path is None else msgspec.json.encode(edge.path).decode(),
        }
        for position, edge in enumerate(new.edges)
    ]


def _row(workflow_id: UUID, task: NewTask, now: Any, blocked: frozenset[UUID]) -> dict[str, Any]:
    state = TaskState.BLOCKED if task.id in blocked else TaskState.PENDING
    return {
        **new_values(task),
        "new_state": state.value,
        "new_created_at": now,
        "new_scheduled_at": task.at or now + task.delay,
        "new_expires_at": None if task.expires is None else now + task.expires,
        "workflow": workflow_id,
    }
