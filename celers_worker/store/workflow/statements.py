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
    func,
    insert,
    select,
    update,
)

from celers_worker.core.task import TaskState
from celers_worker.core.workflow import WorkflowState
from celers_worker.store import sql
from celers_worker.store.schema import results, task_edges, tasks, workflow_steps, workflows
from celers_worker.store.statements import INSERT_ROWS, PENDING
from celers_worker.store.types import Id, UtcDateTime

BLOCKED = sql.state(TaskState.BLOCKED)
IDS: BindParameter[Any] = bindparam("ids", expanding=True)
WORKFLOW = bindparam("workflow", type_=Id())
RUNNING = workflows.c.state == WorkflowState.RUNNING.value


# --- enqueue ---

INSERT_WORKFLOW: Insert = insert(workflows).values(
    id=WORKFLOW,
    name=bindparam("called"),
    created_at=bindparam("since", type_=UtcDateTime()),
    checked_at=bindparam("since", type_=UtcDateTime()),
    timeout=bindparam("seconds"),
    expires_at=bindparam("until", type_=UtcDateTime()),
    result=bindparam("shape", type_=workflows.c.result.type),
)
INSERT_STEP: Insert = insert(workflow_steps).values(
    workflow_id=WORKFLOW,
    task_id=bindparam("of_task", type_=Id()),
    position=bindparam("place"),
    name=bindparam("called"),
    delay=bindparam("wait"),
    template=bindparam("before"),
)
INSERT_EDGE: Insert = insert(task_edges).values(
    child_id=bindparam("child", type_=Id()),
    parent_id=bindparam("parent", type_=Id()),
    workflow_id=WORKFLOW,
    position=bindparam("place"),
    policy=bindparam("tolerance"),
    path=bindparam("goes_to"),
)
#: The rows of ``statements.INSERT_ROWS``, as members of a workflow.
INSERT_MEMBERS: Insert = INSERT_ROWS.values(workflow_id=WORKFLOW)
KNOWN_WORKFLOW: Select[Any] = select(workflows.c.id).where(workflows.c.id == WORKFLOW)


# --- lock ---

WORKFLOWS_OF: Select[Any] = (
    select(workflow_steps.c.workflow_id).where(workflow_steps.c.task_id.in_(IDS)).distinct()
)
LOCK_WORKFLOWS: Select[Any] = (
    select(workflows).where(workflows.c.id.in_(IDS)).order_by(workflows.c.id).with_for_update()
)
MEMBERS: Select[Any] = select(tasks.c.id).where(
    tasks.c.id.in_(IDS), tasks.c.workflow_id.is_not(None)
)


# --- a step has ended ---

END_STEPS: Update = (
    update(workflow_steps)
    .where(workflow_steps.c.task_id.in_(IDS), workflow_steps.c.state.is_(None))
    .values(
        state=bindparam("now_is"),
        ended_at=sql.now(),
        error_message=bindparam("message", type_=workflow_steps.c.error_message.type),
        ended_by=bindparam("because", type_=Id()),
    )
)
CHILDREN: Select[Any] = (
    select(task_edges.c.child_id, task_edges.c.policy, task_edges.c.parent_id)
    .where(task_edges.c.parent_id.in_(IDS))
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
    .where(tasks.c.id.in_(IDS), tasks.c.state == BLOCKED)
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
    .where(task_edges.c.child_id.in_(IDS))
    .order_by(task_edges.c.child_id, task_edges.c.position)
)
STEPS: Select[Any] = select(
    workflow_steps.c.task_id, workflow_steps.c.delay, workflow_steps.c.template
).where(workflow_steps.c.workflow_id == WORKFLOW, workflow_steps.c.task_id.in_(IDS))
RESULTS: Select[Any] = select(results.c.task_id, results.c.result).where(results.c.task_id.in_(IDS))

_unblocked: dict[str, Any] = {
    "state": PENDING,
    "scheduled_at": case((tasks.c.scheduled_at > sql.now(), tasks.c.scheduled_at), else_=sql.now()),
}
UNBLOCK: Update = (
    update(tasks).where(tasks.c.id.in_(IDS), tasks.c.state == BLOCKED).values(_unblocked)
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
