"""The tables of workflows; ``store.schema`` has them with all others."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, Table

from celers_worker.store import sql
from celers_worker.store.columns import MYSQL, content, document, long_text, metadata, name_text
from celers_worker.store.types import Id, UtcDateTime

#: Workflows: tasks that wait for each other, as a whole.
workflows = Table(
    "celers_workflows",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("name", name_text(255), nullable=False, server_default=""),
    Column("state", name_text(20), nullable=False, server_default="running"),
    Column("created_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("completed_at", UtcDateTime()),
    Column("timeout", Double),
    Column("expires_at", UtcDateTime()),
    # Somebody or its deadline ended it, and steps that run have been asked to stop.
    Column("stopping_at", UtcDateTime()),
    Column("cancel_reason", name_text(255)),
    Column("error_message", long_text()),
    # The ids of the steps whose results are the workflow's, in its shape.
    Column("result", document()),
    # When the reconciler last looked at it.
    Column("checked_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Index("idx_workflows_checked_at", "state", "checked_at"),
    Index("idx_workflows_expires_at", "state", "expires_at"),
    Index("idx_workflows_completed_at", "completed_at"),
    **MYSQL,
)

#: The tasks of a workflow and how they ended, which is known here after their rows are gone. A
#: task of a CeleRS producer can be a step of several.
workflow_steps = Table(
    "celers_workflow_steps",
    metadata,
    Column("workflow_id", Id(), primary_key=True),
    Column("task_id", Id(), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", name_text(255), nullable=False, server_default=""),
    # NULL while the task lives.
    Column("state", name_text(20)),
    Column("ended_at", UtcDateTime()),
    Column("error_message", long_text()),
    # The parent whose end ended this step, which has never run.
    Column("ended_by", Id()),
    # Seconds from its unblocking until it is due.
    Column("delay", Double),
    # The payload before results were put in, if any are.
    Column("template", content()),
    Index("idx_workflow_steps_task_id", "task_id"),
    **MYSQL,
)

#: Which step waits for which. The parent may be the workflow itself.
task_edges = Table(
    "celers_task_edges",
    metadata,
    Column("child_id", Id(), primary_key=True),
    Column("parent_id", Id(), primary_key=True),
    Column("workflow_id", Id(), nullable=False),
    Column("position", Integer, nullable=False),
    Column("policy", name_text(20), nullable=False, server_default="fail"),
    # JSON: where the parent's result belongs in the child's payload. NULL: nowhere.
    Column("path", long_text()),
    Index("idx_task_edges_parent_id", "parent_id"),
    Index("idx_task_edges_workflow_id", "workflow_id"),
    **MYSQL,
)
