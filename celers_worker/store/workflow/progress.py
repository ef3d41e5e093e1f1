"""Progress: a task has ended, so what waited for it is unblocked, or ends too.

All of it is part of the transaction in which the task ends. Nothing counts: whether a step may
start is decided from the states of its parents each time (``core.workflow.decide``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celers_worker.core.outcome import Cancelled, Completed, Dead, Expired, Outcome
from celers_worker.core.task import TaskState
from celers_worker.core.workflow import (
    Decision,
    Parent,
    Policy,
    Verdict,
    WorkflowState,
    decide,
    state_of_workflow,
)
from celers_worker.store.values import chunks
from celers_worker.store.workflow import statements, unblocking, whole_statements

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction

_WORDS = {
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "was cancelled",
    TaskState.EXPIRED: "expired",
}
#: As a step, a workflow has the state that a task would have.
_AS_STEP = {
    WorkflowState.COMPLETED: TaskState.COMPLETED,
    WorkflowState.FAILED: TaskState.FAILED,
    WorkflowState.CANCELLED: TaskState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended, why, and for one that never ran the parent whose end ended it."""

    state: TaskState
    error: str | None = None
    because: UUID | None = None


def end_of(outcome: Outcome) -> Ended | None:
    """How a step ended, if it has."""
    match outcome:
        case Completed():
            return Ended(TaskState.COMPLETED)
        case Cancelled():
            return Ended(TaskState.CANCELLED, outcome.reason)
        case Expired():
            return Ended(TaskState.EXPIRED)
        case Dead():
            return Ended(TaskState.FAILED, str(outcome.failure))
        case _:
            return None


def members(transaction: Transaction, task_ids: Collection[UUID], end: Ended) -> dict[UUID, Ended]:
    """Those of the live tasks that others may wait for, with the *end* they will have."""
    return {
        task_id: end
        for chunk in chunks(list(task_ids))
        for task_id in transaction.connection.execute(statements.MEMBERS, {"ids": chunk}).scalars()
    }


def lock(transaction: Transaction, task_ids: Collection[UUID]) -> dict[UUID, Any]:
    """Lock the workflows of tasks and return their rows.

    Before the rows of tasks: in one order everywhere, so that nobody waits in a circle.
    """
    ids = {
        row.workflow_id
        for chunk in chunks(list(task_ids))
        for row in transaction.connection.execute(statements.WORKFLOWS_OF, {"ids": chunk})
    }
    return lock_workflows(transaction, ids)


def lock_workflows(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, Any]:
    """Lock workflows in the order of their ids and return their rows."""
    return {
        row.id: row
        for chunk in chunks(sorted(ids))
        for row in transaction.connection.execute(statements.LOCK_WORKFLOWS, {"ids": chunk})
    }


def move_on(
    transaction: Transaction,
    ended: Mapping[UUID, Ended],
    *,
    blocked: Collection[UUID] = (),
    workflows: Mapping[UUID, Any] | None = None,
) -> None:
    """Tell the workflows of *ended* tasks; look at *blocked* steps too.

    *workflows*: rows that are locked already, which may have come to their end.
    """
    locked = dict(workflows or {})
    while ended or blocked:
        locked |= lock(transaction, ended)
        record(transaction, ended)
        urgent, others = _children(transaction, ended)
        ended = _advance(transaction, urgent, {*others, *blocked})
        blocked = ()
    _finish(transaction, locked)


def record(transaction: Transaction, ended: Mapping[UUID, Ended]) -> None:
    """Note how steps ended; what is noted already stays."""
    alike: defaultdict[Ended, list[UUID]] = defaultdict(list)
    for task_id, one in ended.items():
        alike[one].append(task_id)
    for one, ids in alike.items():
        for chunk in chunks(ids):
            transaction.connection.execute(
                statements.END_STEPS,
                {
                    "ids": chunk,
                    "now_is": one.state.value,
                    "message": one.error,
                    "because": one.because,
                },
            )


def _children(transaction: Transaction, ended: Mapping[UUID, Ended]) -> tuple[set[UUID], set[UUID]]:
    """The children of *ended*: those to be looked at now, and those if no parent lives."""
    urgent: set[UUID] = set()
    others: set[UUID] = set()
    for chunk in chunks(list(ended)):
        for row in transaction.connection.execute(statements.CHILDREN, {"ids": chunk}):
            completed = ended[row.parent_id].state is TaskState.COMPLETED
            plain = completed and row.policy != Policy.ON_FAILURE.value
            (others if plain else urgent).add(row.child_id)
    return urgent, others - urgent


def _advance(
    transaction: Transaction, urgent: Collection[UUID], others: Collection[UUID]
) -> dict[UUID, Ended]:
    """Unblock or end those of the blocked steps whose turn has come; return those that ended."""
    ended: dict[UUID, Ended] = {}
    for chunk in chunks(sorted({*urgent, *others})):
        rows = transaction.connection.execute(statements.CANDIDATES, {"ids": chunk}).all()
        queues = {
            row.id: row.queue_name for row in rows if row.live_parent is None or row.id in urgent
        }
        if not queues:
            continue
        parents: defaultdict[UUID, list[Any]] = defaultdict(list)
        for row in transaction.connection.execute(statements.PARENTS, {"ids": list(queues)}):
            parents[row.child_id].append(row)
        ready = {}
        for child in queues:
            decision = decide(map(_parent, parents[child]))
            if decision.verdict is Verdict.RUN:
                ready[child] = unblocking.Ready(child, queues[child], parents[child])
            elif decision.verdict is not Verdict.WAIT:
                ended[child] = _given_up(decision, parents[child])
        refused = unblocking.unblock(transaction, ready.values())
        ended |= {child: Ended(TaskState.FAILED, why) for child, why in refused.items()}
    _archive(transaction, ended)
    return ended


def _parent(row: Any) -> Parent:
    # An edge whose parent nobody knows any more must not hold its child for ever.
    state = TaskState.FAILED if row.step_id is None else row.state and TaskState(row.state)
    return Parent(row.parent_id, state, Policy(row.policy))


def _given_up(decision: Decision, parents: Iterable[Any]) -> Ended:
    if decision.verdict is Verdict.SPARE:
        return Ended(TaskState.CANCELLED, "not needed: what it waits for did not fail")
    [parent] = [row for row in parents if row.parent_id == decision.because]
    if parent.step_id is None:
        reason = f"it waits for {parent.parent_id}, of which nothing is known"
    elif parent.ended_by is not None:  # it says already who was the first
        reason = parent.error_message
    else:
        reason = f"it waits for {ending(parent.name, parent.parent_id, parent)}"
    return Ended(TaskState.CANCELLED, reason, decision.because)


def ending(name: str, task_id: UUID, step: Any) -> str:
    """How a step ended, in words: ``fetch (0190…), which failed: ValueError: no such page``."""
    why = f": {step.error_message}" if step.error_message else ""
    return f"{name or 'a task'} ({task_id}), which {_WORDS[TaskState(step.state)]}{why}"


def _archive(transaction: Transaction, ended: Mapping[UUID, Ended]) -> None:
    by_reason: defaultdict[str | None, list[UUID]] = defaultdict(list)
    for task_id, one in ended.items():
        if one.state is TaskState.CANCELLED:
            by_reason[one.error].append(task_id)
        else:
            transaction.move_to_dead_letters(
                [task_id], reason=unblocking.TOO_LARGE, message=one.error or ""
            )
    for reason, ids in by_reason.items():
        transaction.move_to_archive(ids, TaskState.CANCELLED, reason)
    if ended:
        transaction.tell_ended()


# --- the whole ---


def _finish(transaction: Transaction, workflows: Mapping[UUID, Any]) -> None:
    """End those of the workflows whose last step has ended."""
    for chunk in chunks(sorted(workflows)):
        rows = transaction.connection.execute(whole_statements.OPEN_STEPS, {"ids": chunk}).all()
        for row in rows:
            if row.step is None:
                _end(transaction, workflows[row.id])


def _end(transaction: Transaction, workflow: Any) -> None:
    values: dict[str, Any] = {"workflow": workflow.id}
    last = transaction.connection.execute(whole_statements.LAST_STATES, values).scalars()
    state = state_of_workflow(
        map(TaskState, last.all()), cancelled=workflow.cancel_reason is not None
    )
    error = None
    if state is WorkflowState.CANCELLED:
        error = workflow.cancel_reason
    elif state is WorkflowState.FAILED:
        error = workflow.error_message or _first_failure(transaction, values)
    transaction.connection.execute(
        whole_statements.END_WORKFLOW, {**values, "now_is": state.value, "message": error}
    )
    # What follows the whole waits for it as for a step. Nothing waits for what follows the whole.
    whole = {workflow.id: Ended(_AS_STEP[state], error)}
    record(transaction, whole)
    urgent, others = _children(transaction, whole)
    record(transaction, _advance(transaction, {*urgent, *others}, ()))


def _first_failure(transaction: Transaction, values: Mapping[str, Any]) -> str | None:
    step = transaction.connection.execute(whole_statements.FIRST_FAILURE, values).first()
    return None if step is None else ending(step.name, step.task_id, step).replace(", which", "")
