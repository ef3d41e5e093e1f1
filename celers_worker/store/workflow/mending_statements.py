"""The statements that find what an interruption left behind, and what CeleRS producers wrote."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Insert,
    Select,
    Update,
    bindparam,
    exists,
    or_,
    select,
    update,
)

from celers_worker.store import sql
from celers_worker.store.schema import task_edges, tasks, workflow_steps, workflows
from celers_worker.store.types import Id
from celers_worker.store.workflow.statements import BLOCKED, IDS, RUNNING, WORKFLOW

# --- reconcile ---

OVERDUE: Select[Any] = (
    select(workflows.c.id)
    .where(RUNNING, workflows.c.expires_at <= sql.now(), workflows.c.stopping_at.is_(None))
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
UNCHECKED: Select[Any] = (
    select(workflows.c.id, (workflows.c.created_at < sql.later(bindparam("grace"))).label("is_old"))
    .where(RUNNING, workflows.c.checked_at <= sql.later(bindparam("before")))
    .order_by(workflows.c.checked_at)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
CHECKED: Update = update(workflows).where(workflows.c.id.in_(IDS)).values(checked_at=sql.now())
#: Steps that have not ended, but are blocked, or not among the live tasks.
NOT_MOVING: Select[Any] = (
    select(workflow_steps.c.task_id, tasks.c.state)
    .select_from(workflow_steps.outerjoin(tasks, tasks.c.id == workflow_steps.c.task_id))
    .where(
        workflow_steps.c.workflow_id == WORKFLOW,
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
    id=WORKFLOW, name=bindparam("called"), created_at=sql.now(), checked_at=sql.now()
)
ADOPT_STEP: Insert = sql.insert_ignore(workflow_steps).values(
    workflow_id=WORKFLOW,
    task_id=bindparam("of_task", type_=Id()),
    position=bindparam("place"),
    name=bindparam("called"),
    delay=bindparam("wait"),
)
ADOPT_EDGE: Insert = sql.insert_ignore(task_edges).values(
    child_id=bindparam("child", type_=Id()),
    parent_id=bindparam("parent", type_=Id()),
    workflow_id=WORKFLOW,
    position=bindparam("place"),
    policy=bindparam("tolerance"),
)
PLACE_STEP: Update = (
    update(workflow_steps)
    .where(
        workflow_steps.c.workflow_id == WORKFLOW,
        workflow_steps.c.task_id == bindparam("of_task", type_=Id()),
    )
    .values(position=bindparam("place"), delay=bindparam("wait"))
)
NAME_STEP: Update = (
    update(workflow_steps)
    .where(workflow_steps.c.task_id == bindparam("of_task", type_=Id()))
    .values(name=bindparam("called"))
)
JOIN_WORKFLOW: Update = (
    update(tasks).where(tasks.c.id.in_(IDS)).values(workflow_id=WORKFLOW, state=bindparam("now_is"))
)
#: Tasks that somebody waits for, so that their end is told; those of a workflow are it already.
MARK: Update = (
    update(tasks)
    .where(tasks.c.id.in_(IDS), tasks.c.workflow_id.is_(None))
    .values(workflow_id=WORKFLOW)
)
STEPS_AMONG: Select[Any] = (
    select(workflow_steps.c.task_id).where(workflow_steps.c.task_id.in_(IDS)).distinct()
)
PARENT_IDS: Select[Any] = select(task_edges.c.parent_id).where(task_edges.c.child_id.in_(IDS))
