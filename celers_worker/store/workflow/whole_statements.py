"""The statements about workflows as wholes: their ends, stops, second lives, retention."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    null,
    or_,
    select,
    update,
)

from celers_worker.core.task import TaskState
from celers_worker.core.workflow import Policy, WorkflowState
from celers_worker.store import sql
from celers_worker.store.schema import task_edges, tasks, workflow_steps, workflows
from celers_worker.store.statements import PENDING, PROCESSING
from celers_worker.store.workflow.statements import BLOCKED, IDS, RUNNING, WORKFLOW

# --- a workflow has ended ---

_step = workflow_steps.alias("step")
_follows_whole = exists().where(
    task_edges.c.child_id == _step.c.task_id, task_edges.c.parent_id == _step.c.workflow_id
)
_open_step = (
    select(_step.c.task_id)
    .where(
        _step.c.workflow_id == workflows.c.id,
        _step.c.task_id != workflows.c.id,
        _step.c.state.is_(None),
        ~_follows_whole,
    )
    .order_by(_step.c.task_id.desc())
    .limit(1)
    .correlate(workflows)
    .scalar_subquery()
)
#: Those of *ids* that run, with one of their steps that has not ended.
OPEN_STEPS: Select[Any] = select(workflows.c.id, _open_step.label("step")).where(
    workflows.c.id.in_(IDS), RUNNING
)

_handles_failure = exists().where(
    task_edges.c.child_id == workflow_steps.c.task_id,
    task_edges.c.policy == Policy.ON_FAILURE.value,
)
_is_waited_for = exists().where(
    task_edges.c.parent_id == workflow_steps.c.task_id,
    task_edges.c.workflow_id == workflow_steps.c.workflow_id,
    task_edges.c.policy != Policy.ON_FAILURE.value,
)
#: Steps of the work itself: not those that are there for a failure, and not the whole.
_of_the_work = (
    workflow_steps.c.workflow_id == WORKFLOW,
    workflow_steps.c.task_id != workflow_steps.c.workflow_id,
    ~_handles_failure,
)
LAST_STATES: Select[Any] = (
    select(workflow_steps.c.state).where(*_of_the_work, ~_is_waited_for).distinct()
)
_ended_another = exists().where(
    _step.c.ended_by == workflow_steps.c.task_id,
    _step.c.workflow_id == workflow_steps.c.workflow_id,
)
#: The step to be named: before those whose failure all who waited for them did without.
FIRST_FAILURE: Select[Any] = (
    select(
        workflow_steps.c.task_id,
        workflow_steps.c.name,
        workflow_steps.c.state,
        workflow_steps.c.error_message,
    )
    .where(
        *_of_the_work,
        workflow_steps.c.state != TaskState.COMPLETED.value,
        workflow_steps.c.ended_by.is_(None),
    )
    .order_by(
        case((or_(~_is_waited_for, _ended_another), 0), else_=1),
        workflow_steps.c.ended_at,
        workflow_steps.c.position,
    )
    .limit(1)
)
END_WORKFLOW: Update = (
    update(workflows)
    .where(workflows.c.id == WORKFLOW, RUNNING)
    .values(
        state=bindparam("now_is"),
        completed_at=sql.now(),
        error_message=bindparam("message", type_=workflows.c.error_message.type),
    )
)


# --- stop ---

#: The live tasks of a workflow that are its own. One that follows the whole is not stopped with it.
LIVE_MEMBERS: Select[Any] = (
    select(tasks.c.id, tasks.c.state)
    .where(
        tasks.c.id.in_(
            select(_step.c.task_id).where(
                _step.c.workflow_id == WORKFLOW, _step.c.state.is_(None), ~_follows_whole
            )
        ),
        tasks.c.workflow_id == WORKFLOW,
        tasks.c.cancel_requested_at.is_(None),
    )
    .order_by(tasks.c.id)
    .with_for_update()
)
STOP_WORKFLOW: Update = (
    update(workflows)
    .where(workflows.c.id == WORKFLOW)
    .values(
        stopping_at=sql.now(),
        cancel_reason=bindparam("reason", type_=workflows.c.cancel_reason.type),
        error_message=bindparam("message", type_=workflows.c.error_message.type),
    )
)
ASK_TO_STOP: Update = (
    update(tasks)
    .where(tasks.c.id.in_(IDS), tasks.c.state == PROCESSING)
    .values(cancel_requested_at=sql.now(), cancel_reason=bindparam("reason"))
)


# --- open again ---

#: Steps that never ran because one of *ids* did not complete.
ENDED_BY: Select[Any] = select(workflow_steps.c.task_id).where(
    workflow_steps.c.ended_by.in_(IDS), workflow_steps.c.state == TaskState.CANCELLED.value
)
#: Steps that were there for a failure and have not been needed.
SPARED: Select[Any] = (
    select(workflow_steps.c.task_id)
    .join(
        task_edges,
        and_(
            task_edges.c.child_id == workflow_steps.c.task_id,
            task_edges.c.workflow_id == workflow_steps.c.workflow_id,
        ),
    )
    .where(
        task_edges.c.parent_id.in_(IDS),
        task_edges.c.policy == Policy.ON_FAILURE.value,
        workflow_steps.c.state == TaskState.CANCELLED.value,
    )
)
UNENDED: Select[Any] = select(workflow_steps.c.task_id).where(
    *_of_the_work,
    workflow_steps.c.state.in_([TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED]),
)
CHILDREN_AMONG: Select[Any] = (
    select(task_edges.c.child_id).where(task_edges.c.child_id.in_(IDS)).distinct()
)
BLOCK: Update = (
    update(tasks).where(tasks.c.id.in_(IDS), tasks.c.state == PENDING).values(state=BLOCKED)
)
REOPEN_STEPS: Update = (
    update(workflow_steps)
    .where(workflow_steps.c.task_id.in_(IDS))
    .values(state=null(), ended_at=null(), error_message=null(), ended_by=null())
)
REOPEN_WORKFLOWS: Update = (
    update(workflows)
    .where(workflows.c.id.in_(IDS))
    .values(
        state=WorkflowState.RUNNING.value,
        completed_at=null(),
        error_message=null(),
        cancel_reason=null(),
        stopping_at=null(),
        expires_at=sql.later(workflows.c.timeout),
        checked_at=sql.now(),
    )
)


# --- retention ---


def ended_before(state: WorkflowState) -> Select[Any]:
    """Workflows that ended so in the state longer ago than ``age`` seconds."""
    return (
        select(workflows.c.id)
        .where(
            workflows.c.state == state.value,
            workflows.c.completed_at < sql.later(bindparam("age")),
        )
        .limit(bindparam("room"))
        .with_for_update(skip_locked=True)
    )
