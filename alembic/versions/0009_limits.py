"""Limits over all workers; and celers_enqueue with windows, replacing, debounce and tags."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from celers_worker.store import enqueue_function, sql
from celers_worker.store.migrate import create_table, drop_table
from celers_worker.store.types import Id, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    exact = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
    name = sa.String(255).with_variant(exact, "mysql", "mariadb")
    create_table(
        "celers_limits",
        sa.Column("name", name, primary_key=True),
        sa.Column("free_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    )
    create_table(
        "celers_limit_holders",
        sa.Column("limit_name", name, primary_key=True),
        sa.Column("task_id", Id(), primary_key=True),
        sa.Column("lease", sa.BigInteger(), nullable=False),
    )
    enqueue_function.create(op.get_context())


def downgrade():
    # The older celers_enqueue is not kept: the newer one serves its callers too.
    drop_table("celers_limit_holders")
    drop_table("celers_limits")
