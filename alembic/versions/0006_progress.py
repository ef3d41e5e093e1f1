"""How far running tasks say they are."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from celers_worker.store.migrate import create_index, create_table, drop_table
from celers_worker.store.sql import column_now
from celers_worker.store.types import Id, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def name(length):
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade():
    create_table(
        "celers_task_progress",
        sa.Column("task_id", Id(), primary_key=True),
        sa.Column("lease", sa.BigInteger, nullable=False),
        sa.Column("done", sa.Double, nullable=False),
        sa.Column("total", sa.Double),
        sa.Column("message", name(255)),
        sa.Column("updated_at", UtcDateTime(), nullable=False, server_default=column_now()),
    )
    create_index("idx_progress_updated_at", "celers_task_progress", ["updated_at"])


def downgrade():
    drop_table("celers_task_progress")
