"""The tables of workflows: the wholes, their steps, and which step waits for which.

Steps look first whether they have been done, as MySQL commits each.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from celers_worker.store.migrate import create_index, create_table, drop_table
from celers_worker.store.sql import column_now
from celers_worker.store.types import Id, LenientJson, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("celers_workflows", "celers_workflow_steps", "celers_task_edges")


def name(length):
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def long_text():
    exact = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(exact, "mysql", "mariadb")


def content():
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def json():
    kinds = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    return kinds.with_variant(LenientJson(), "sqlite")


def upgrade():
    create_table(
        "celers_workflows",
        sa.Column("id", Id(), primary_key=True),
        sa.Column("name", name(255), nullable=False, server_default=""),
        sa.Column("state", name(20), nullable=False, server_default="running"),
        sa.Column("created_at", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("completed_at", UtcDateTime()),
        sa.Column("timeout", sa.Double),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("stopping_at", UtcDateTime()),
        sa.Column("cancel_reason", name(255)),
        sa.Column("error_message", long_text()),
        sa.Column("result", json()),
        sa.Column("checked_at", UtcDateTime(), nullable=False, server_default=column_now()),
    )
    create_index("idx_workflows_checked_at", "celers_workflows", ["state", "checked_at"])
    create_index("idx_workflows_expires_at", "celers_workflows", ["state", "expires_at"])
    create_index("idx_workflows_completed_at", "celers_workflows", ["completed_at"])
    create_table(
        "celers_workflow_steps",
        sa.Column("workflow_id", Id(), primary_key=True),
        sa.Column("task_id", Id(), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", name(255), nullable=False, server_default=""),
        sa.Column("state", name(20)),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("error_message", long_text()),
        sa.Column("ended_by", Id()),
        sa.Column("delay", sa.Double),
        sa.Column("template", content()),
    )
    create_index("idx_workflow_steps_task_id", "celers_workflow_steps", ["task_id"])
    create_table(
        "celers_task_edges",
        sa.Column("child_id", Id(), primary_key=True),
        sa.Column("parent_id", Id(), primary_key=True),
        sa.Column("workflow_id", Id(), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("policy", name(20), nullable=False, server_default="fail"),
        sa.Column("path", long_text()),
    )
    create_index("idx_task_edges_parent_id", "celers_task_edges", ["parent_id"])
    create_index("idx_task_edges_workflow_id", "celers_task_edges", ["workflow_id"])


def downgrade():
    for table in reversed(TABLES):
        drop_table(table)
