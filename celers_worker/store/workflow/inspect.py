"""Reads for people and for who waits: one workflow, its steps and edges, its result; lists."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import func, select

from celers_worker.core.payload import decode
from celers_worker.core.task import TaskState
from celers_worker.core.workflow import Edge, Policy, WorkflowState
from celers_worker.store.schema import results, task_edges, tasks, workflow_steps, workflows
from celers_worker.store.values import chunks

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowView:
    """A workflow as people look at it. ``counts``: how many of its steps are in each state."""

    id: UUID
    name: str
    state: WorkflowState
    created_at: datetime
    completed_at: datetime | None
    expires_at: datetime | None
    stopping: bool
    error: str | None
    counts: Mapping[TaskState, int] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step as people look at it. ``error``: why it did not complete."""

    id: UUID
    name: str
    state: TaskState
    error: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Graph:
    """A workflow with its steps, in their order, and its edges."""

    workflow: WorkflowView
    steps: Sequence[StepView]
    edges: Sequence[Edge]


@dataclass(frozen=True, slots=True)
class WorkflowEnding:
    """What is known of a workflow to who waits for it; ``value`` if it has completed."""

    state: WorkflowState
    error: str | None = None
    value: Any = None
    stopping: bool = False


def ending_of(transaction: Transaction, workflow_id: UUID) -> WorkflowEnding | None:
    """How a workflow ended, or of a running one only its state; None: there is no such workflow."""
    row = transaction.connection.execute(
        select(
            workflows.c.state,
            workflows.c.error_message,
            workflows.c.result,
            workflows.c.stopping_at,
        ).where(workflows.c.id == workflow_id)
    ).first()
    if row is None:
        return None
    state = WorkflowState(row.state)
    if state is not WorkflowState.COMPLETED:
        return WorkflowEnding(state, row.error_message, stopping=row.stopping_at is not None)
    wanted: list[UUID] = []
    _collect(row.result, wanted)
    values = {
        found.task_id: decode(found.result)
        for chunk in chunks(wanted)
        for found in transaction.connection.execute(
            select(results.c.task_id, results.c.result).where(results.c.task_id.in_(chunk))
        )
    }
    return WorkflowEnding(state, value=_filled(row.result, values))


def list_workflows(
    transaction: Transaction,
    *,
    states: Sequence[WorkflowState] = (),
    name: str | None = None,
    limit: int = 50,
    before: UUID | None = None,
) -> list[WorkflowView]:
    """The newest workflows first; *before* continues after the last of an earlier page."""
    query = select(workflows).order_by(workflows.c.id.desc()).limit(limit)
    if states:
        query = query.where(workflows.c.state.in_([state.value for state in states]))
    if name is not None:
        query = query.where(workflows.c.name == name)
    if before is not None:
        query = query.where(workflows.c.id < before)
    rows = transaction.connection.execute(query).all()
    counts = _counts(transaction, [row.id for row in rows])
    return [_view(row, counts[row.id]) for row in rows]


def workflow(transaction: Transaction, workflow_id: UUID) -> WorkflowView | None:
    """One workflow."""
    row = transaction.connection.execute(
        select(workflows).where(workflows.c.id == workflow_id)
    ).first()
    return None if row is None else _view(row, _counts(transaction, [row.id])[row.id])


def graph(transaction: Transaction, workflow_id: UUID) -> Graph | None:
    """A workflow with all its steps and edges."""
    found = workflow(transaction, workflow_id)
    if found is None:
        return None
    steps = transaction.connection.execute(
        select(workflow_steps, func.coalesce(workflow_steps.c.state, tasks.c.state).label("is_now"))
        .select_from(workflow_steps.outerjoin(tasks, tasks.c.id == workflow_steps.c.task_id))
        .where(workflow_steps.c.workflow_id == workflow_id, workflow_steps.c.task_id != workflow_id)
        .order_by(workflow_steps.c.position, workflow_steps.c.task_id)
    )
    edges = transaction.connection.execute(
        select(task_edges)
        .where(task_edges.c.workflow_id == workflow_id)
        .order_by(task_edges.c.child_id, task_edges.c.position)
    )
    return Graph(
        found,
        [
            StepView(
                id=row.task_id,
                name=row.name or "unknown",
                # Neither ended nor live: its row is missing, and will be for a while yet.
                state=TaskState(row.is_now or TaskState.BLOCKED),
                error=row.error_message,
                ended_at=row.ended_at,
            )
            for row in steps
        ],
        [Edge(row.parent_id, row.child_id, Policy(row.policy)) for row in edges],
    )


def _counts(
    transaction: Transaction, ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[TaskState, int]]:
    found: defaultdict[UUID, Counter[TaskState]] = defaultdict(Counter)
    is_now = func.coalesce(workflow_steps.c.state, tasks.c.state, TaskState.BLOCKED.value)
    rows = transaction.connection.execute(
        select(workflow_steps.c.workflow_id, is_now.label("is_now"), func.count().label("number"))
        .select_from(workflow_steps.outerjoin(tasks, tasks.c.id == workflow_steps.c.task_id))
        .where(
            workflow_steps.c.workflow_id.in_(ids),
            workflow_steps.c.task_id != workflow_steps.c.workflow_id,
        )
        .group_by(workflow_steps.c.workflow_id, "is_now")
    )
    for row in rows:
        found[row.workflow_id][TaskState(row.is_now)] += row.number
    return found


def _view(row: Any, counts: Mapping[TaskState, int]) -> WorkflowView:
    return WorkflowView(
        id=row.id,
        name=row.name,
        state=WorkflowState(row.state),
        created_at=row.created_at,
        completed_at=row.completed_at,
        expires_at=row.expires_at,
        stopping=row.stopping_at is not None,
        error=row.error_message,
        counts=counts,
    )


def _collect(shape: Any, found: list[UUID]) -> None:
    if isinstance(shape, str):
        found.append(UUID(shape))
    elif isinstance(shape, (list, dict)):
        for item in shape.values() if isinstance(shape, dict) else shape:
            _collect(item, found)


def _filled(shape: Any, values: Mapping[UUID, Any]) -> Any:
    """*shape* with results in the places of ids; None for those that returned nothing."""
    if isinstance(shape, str):
        return values.get(UUID(shape))
    if isinstance(shape, dict):
        return {key: _filled(item, values) for key, item in shape.items()}
    if isinstance(shape, list):
        return [_filled(item, values) for item in shape]
    return None
