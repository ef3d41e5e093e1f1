"""The windows of unique keys, and celers_enqueue for producers in any language."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from celers_worker.store import enqueue_function
from celers_worker.store.migrate import create_index, create_table, drop_table
from celers_worker.store.types import Id, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    exact = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
    create_table(
        "celers_unique_windows",
        sa.Column(
            "unique_key", sa.String(255).with_variant(exact, "mysql", "mariadb"), primary_key=True
        ),
        sa.Column("task_id", Id(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )
    create_index("idx_unique_windows_expires_at", "celers_unique_windows", ["expires_at"])
    enqueue_function.create(op.get_context())


def downgrade():
    enqueue_function.drop(op.get_context())
    drop_table("celers_unique_windows")
