"""What handlers write to their logs."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from celers_worker.store.migrate import create_index, create_table, drop_table
from celers_worker.store.sql import column_now
from celers_worker.store.types import Id, UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade():
    exact = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
    name = sa.String(255).with_variant(exact, "mysql", "mariadb")
    content = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
    create_table(
        "celers_task_logs",
        sa.Column("task_id", Id(), primary_key=True),
        sa.Column("lease", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker_id", name),
        sa.Column("content", content, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False, server_default=column_now()),
    )
    create_index("idx_task_logs_updated_at", "celers_task_logs", ["updated_at"])


def downgrade():
    drop_table("celers_task_logs")
