"""The audit trail of tasks, the queues that have one, and who does the upkeep.

Nothing is written to the trail before `celers queue history QUEUE on` has made its triggers.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from celers_worker.store import history_triggers
from celers_worker.store.migrate import create_index, create_table, drop_table
from celers_worker.store.sql import column_now
from celers_worker.store.types import Id, UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def name(length):
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def long_text():
    exact = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(exact, "mysql", "mariadb")


def upgrade():
    create_table(
        "celers_history_queues",
        sa.Column("name", name(128), primary_key=True),
        sa.Column("since", UtcDateTime(), nullable=False, server_default=column_now()),
    )
    create_table(
        "celers_task_history",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("task_id", Id(), nullable=False),
        sa.Column("state", name(20), nullable=False),
        sa.Column("timestamp", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("worker_id", name(255)),
        sa.Column("message", long_text()),
        sa.Column("queue_name", name(128), nullable=False, server_default=""),
        sa.Column("lease", sa.BigInteger, nullable=False, server_default="0"),
    )
    create_index("idx_history_task_id", "celers_task_history", ["task_id", "id"])
    create_table(
        "celers_upkeep",
        sa.Column("name", name(64), primary_key=True),
        sa.Column("holder", name(255)),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("done_at", UtcDateTime()),
        sa.Column("due_at", UtcDateTime()),
    )


def downgrade():
    # First: a trigger that outlived its table would refuse every write of a task.
    if not op.get_context().as_sql:
        history_triggers.drop(op.get_bind())
    for table in ("celers_upkeep", "celers_task_history", "celers_history_queues"):
        drop_table(table)
