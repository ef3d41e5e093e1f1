"""The statements about workflows.

Whoever writes about a workflow has locked its row in ``celers_workflows`` first: two parents of one
child that end at once see each other's end, in the one order or the other.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BindParameter,
    Double,
    Insert,
    LargeBinary,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from celers_worker.core.task import TaskState
from celers_worker.core.workflow import Policy, WorkflowState
from celers_worker.store import sql
from celers_worker.store.schema import results, task_edges, tasks, workflow_steps, workflows
from celers_worker.store.statements import INSERT_ROWS, PENDING, PROCESSING
from celers_worker.store.types import Id, UtcDateTime

BLOCKED = sql.state(TaskState.BLOCKED)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_WORKFLOW = bindparam("workflow", type_=Id())
_RUNNING = workflows.c.state == WorkflowState.RUNNING.value


# --- enqueue ---

INSERT_WORKFLOW: Insert = insert(workflows).values(
    id=_WORKFLOW,
    name=bindparam("called"),
    created_at=bindparam("since", type_=UtcDateTime()),
    checked_at=bindparam("since", type_=UtcDateTime()),
    timeout=bindparam("seconds"),
    expires_at=bindparam("until", type_=UtcDateTime()),
    result=bindparam("shape", type_=workflows.c.result.type),
)
INSERT_STEP: Insert = insert(workflow_steps).values(
    workflow_id=_WORKFLOW,
    task_id=bindparam("of_task", type_=Id()),
    position=bindparam("place"),
    name=bindparam("called"),
    delay=bindparam("wait"),
    template=bindparam("before"),
)
INSERT_EDGE: Insert = insert(task_edges).values(
    child_id=bindparam("child", type_=Id()),
    parent_id=bindparam("parent", type_=Id()),
    workflow_id=_WORKFLOW,
    position=bindparam("place"),
    policy=bindparam("tolerance"),
    path=bindparam("goes_to"),
)
#: The rows of ``statements.INSERT_ROWS``, as members of a workflow.
INSERT_MEMBERS: Insert = INSERT_ROWS.values(workflow_id=_WORKFLOW)
KNOWN_WORKFLOW: Select[Any] = select(workflows.c.id).where(workflows.c.id == _WORKFLOW)


# --- lock ---

WORKFLOWS_OF: Select[Any] = (
    select(workflow_steps.c.workflow_id).where(workflow_steps.c.task_id.in_(_IDS)).distinct()
)
LOCK_WORKFLOWS: Select[Any] = (
    select(workflows).where(workflows.c.id.in_(_IDS)).order_by(workflows.c.id).with_for_update()
)
MEMBERS: Select[Any] = select(tasks.c.id).where(
    tasks.c.id.in_(_IDS), tasks.c.workflow_id.is_not(None)
)


# --- a step has ended ---

END_STEPS: Update = (
    update(workflow_steps)
    .where(workflow_steps.c.task_id.in_(_IDS), workflow_steps.c.state.is_(None))
    .values(
        state=bindparam("now_is"),
        ended_at=sql.now(),
        error_message=bindparam("message", type_=workflow_steps.c.error_message.type),
        ended_by=bindparam("because", type_=Id()),
    )
)
CHILDREN: Select[Any] = (
    select(task_edges.c.child_id, task_edges.c.policy, task_edges.c.parent_id)
    .where(task_edges.c.parent_id.in_(_IDS))
    .distinct()
)

_parent_step = workflow_steps.alias("parent_step")
_edge_to_parent = and_(
    _parent_step.c.workflow_id == task_edges.c.workflow_id,
    _parent_step.c.task_id == task_edges.c.parent_id,
)
#: A parent that lives. The last one first: steps end more or less in the order they were made.
_live_parent = (
    select(task_edges.c.parent_id)
    .join(_parent_step, _edge_to_parent)
    .where(task_edges.c.child_id == tasks.c.id, _parent_step.c.state.is_(None))
    .order_by(task_edges.c.parent_id.desc())
    .limit(1)
    .correlate(tasks)
    .scalar_subquery()
)
CANDIDATES: Select[Any] = (
    select(tasks.c.id, tasks.c.queue_name, _live_parent.label("live_parent"))
    .where(tasks.c.id.in_(_IDS), tasks.c.state == BLOCKED)
    .order_by(tasks.c.id)
    .with_for_update()
)
#: The parents of children, with how they ended and how large their results are.
PARENTS: Select[Any] = (
    select(
        task_edges.c.child_id,
        task_edges.c.parent_id,
        task_edges.c.workflow_id,
        task_edges.c.policy,
        task_edges.c.path,
        _parent_step.c.task_id.label("step_id"),
        _parent_step.c.name,
        _parent_step.c.state,
        _parent_step.c.error_message,
        _parent_step.c.ended_by,
        func.coalesce(func.length(results.c.result), 0).label("size"),
    )
    .select_from(
        task_edges.outerjoin(_parent_step, _edge_to_parent).outerjoin(
            results,
            and_(results.c.task_id == task_edges.c.parent_id, task_edges.c.path.is_not(None)),
        )
    )
    .where(task_edges.c.child_id.in_(_IDS))
    .order_by(task_edges.c.child_id, task_edges.c.position)
)
STEPS: Select[Any] = select(
    workflow_steps.c.task_id, workflow_steps.c.delay, workflow_steps.c.template
).where(workflow_steps.c.workflow_id == _WORKFLOW, workflow_steps.c.task_id.in_(_IDS))
RESULTS: Select[Any] = select(results.c.task_id, results.c.result).where(
    results.c.task_id.in_(_IDS)
)

_unblocked: dict[str, Any] = {
    "state": PENDING,
    "scheduled_at": case((tasks.c.scheduled_at > sql.now(), tasks.c.scheduled_at), else_=sql.now()),
}
UNBLOCK: Update = (
    update(tasks).where(tasks.c.id.in_(_IDS), tasks.c.state == BLOCKED).values(_unblocked)
)
#: One whose payload is completed, or that is due so many seconds after.
UNBLOCK_CHANGED: Update = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id", type_=Id()), tasks.c.state == BLOCKED)
    .values(
        state=PENDING,
        scheduled_at=func.coalesce(
            sql.later(bindparam("wait", type_=Double())), _unblocked["scheduled_at"]
        ),
        payload=func.coalesce(bindparam("full", type_=LargeBinary()), tasks.c.payload),
    )
)


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
    workflows.c.id.in_(_IDS), _RUNNING
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
    workflow_steps.c.workflow_id == _WORKFLOW,
    workflow_steps.c.task_id != workflow_steps.c.workflow_id,
    ~_handles_failure,
)
LAST_STATES: Select[Any] = (
    select(workflow_steps.c.state).where(*_of_the_work, ~_is_waited_for).distinct()
)
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
    .order_by(workflow_steps.c.ended_at, workflow_steps.c.position)
    .limit(1)
)
END_WORKFLOW: Update = (
    update(workflows)
    .where(workflows.c.id == _WORKFLOW, _RUNNING)
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
                _step.c.workflow_id == _WORKFLOW, _step.c.state.is_(None), ~_follows_whole
            )
        ),
        tasks.c.workflow_id == _WORKFLOW,
        tasks.c.cancel_requested_at.is_(None),
    )
    .order_by(tasks.c.id)
    .with_for_update()
)
STOP_WORKFLOW: Update = (
    update(workflows)
    .where(workflows.c.id == _WORKFLOW)
    .values(
        stopping_at=sql.now(),
        cancel_reason=bindparam("reason", type_=workflows.c.cancel_reason.type),
        error_message=bindparam("message", type_=workflows.c.error_message.type),
    )
)
ASK_TO_STOP: Update = (
    update(tasks)
    .where(tasks.c.id.in_(_IDS), tasks.c.state == PROCESSING)
    .values(cancel_requested_at=sql.now(), cancel_reason=bindparam("reason"))
)


# --- open again ---

#: Steps that never ran because one of *ids* did not complete.
ENDED_BY: Select[Any] = select(workflow_steps.c.task_id).where(
    workflow_steps.c.ended_by.in_(_IDS), workflow_steps.c.state == TaskState.CANCELLED.value
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
        task_edges.c.parent_id.in_(_IDS),
        task_edges.c.policy == Policy.ON_FAILURE.value,
        workflow_steps.c.state == TaskState.CANCELLED.value,
    )
)
UNENDED: Select[Any] = select(workflow_steps.c.task_id).where(
    *_of_the_work,
    workflow_steps.c.state.in_([TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED]),
)
CHILDREN_AMONG: Select[Any] = (
    select(task_edges.c.child_id).where(task_edges.c.child_id.in_(_IDS)).distinct()
)
BLOCK: Update = (
    update(tasks).where(tasks.c.id.in_(_IDS), tasks.c.state == PENDING).values(state=BLOCKED)
)
REOPEN_STEPS: Update = (
    update(workflow_steps)
    .where(workflow_steps.c.task_id.in_(_IDS))
    .values(state=null(), ended_at=null(), error_message=null(), ended_by=null())
)
REOPEN_WORKFLOWS: Update = (
    update(workflows)
    .where(workflows.c.id.in_(_IDS))
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


# --- reconcile ---

OVERDUE: Select[Any] = (
    select(workflows.c.id)
    .where(_RUNNING, workflows.c.expires_at <= sql.now(), workflows.c.stopping_at.is_(None))
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
UNCHECKED: Select[Any] = (
    select(workflows.c.id, (workflows.c.created_at < sql.later(bindparam("grace"))).label("is_old"))
    .where(_RUNNING, workflows.c.checked_at <= sql.later(bindparam("before")))
    .order_by(workflows.c.checked_at)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
CHECKED: Update = update(workflows).where(workflows.c.id.in_(_IDS)).values(checked_at=sql.now())
#: Steps that have not ended, but are blocked, or not among the live tasks.
NOT_MOVING: Select[Any] = (
    select(workflow_steps.c.task_id, tasks.c.state)
    .select_from(workflow_steps.outerjoin(tasks, tasks.c.id == workflow_steps.c.task_id))
    .where(
        workflow_steps.c.workflow_id == _WORKFLOW,
        workflow_steps.c.task_id != workflow_steps.c.workflow_id,
        workflow_steps.c.state.is_(None),
        or_(tasks.c.id.is_(None), tasks.c.state == BLOCKED),
    )
)
#: Blocked tasks that no workflow knows.
STRANDED: Select[Any] = (
    select(tasks.c.id)
    .where(
        tasks.c.state == BLOCKED,
        ~exists().where(workflow_steps.c.task_id == tasks.c.id),
    )
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)


# --- what CeleRS producers wrote ---

ADOPT_WORKFLOW: Insert = sql.insert_ignore(workflows).values(
    id=_WORKFLOW, name=bindparam("called"), created_at=sql.now(), checked_at=sql.now()
)
ADOPT_STEP: Insert = sql.insert_ignore(workflow_steps).values(
    workflow_id=_WORKFLOW,
    task_id=bindparam("of_task", type_=Id()),
    position=bindparam("place"),
    name=bindparam("called"),
    delay=bindparam("wait"),
)
ADOPT_EDGE: Insert = sql.insert_ignore(task_edges).values(
    child_id=bindparam("child", type_=Id()),
    parent_id=bindparam("parent", type_=Id()),
    workflow_id=_WORKFLOW,
    position=bindparam("place"),
    policy=bindparam("tolerance"),
)
NAME_STEP: Update = (
    update(workflow_steps)
    .where(workflow_steps.c.task_id == bindparam("of_task", type_=Id()))
    .values(name=bindparam("called"))
)
JOIN_WORKFLOW: Update = (
    update(tasks)
    .where(tasks.c.id.in_(_IDS))
    .values(workflow_id=_WORKFLOW, state=bindparam("now_is"))
)
#: Tasks that somebody waits for, so that their end is told; those of a workflow are it already.
MARK: Update = (
    update(tasks)
    .where(tasks.c.id.in_(_IDS), tasks.c.workflow_id.is_(None))
    .values(workflow_id=_WORKFLOW)
)
STEPS_AMONG: Select[Any] = (
    select(workflow_steps.c.task_id).where(workflow_steps.c.task_id.in_(_IDS)).distinct()
)
PARENT_IDS: Select[Any] = select(task_edges.c.parent_id).where(task_edges.c.child_id.in_(_IDS))


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
