"""The results of tasks know their failures, how long they ran and how long they are kept.

Each step looks first whether it has been done, for MySQL commits each by itself.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from celers_worker.store.migrate import add_columns, create_index, drop_columns, drop_index
from celers_worker.store.types import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

RESULTS = "celers_task_results"


def name(length):
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def long_text():
    exact = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(exact, "mysql", "mariadb")


def content():
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def columns():
    return [
        sa.Column("state", name(20), nullable=False, server_default="completed"),
        sa.Column("task_name", name(255)),
        sa.Column("codec", name(64)),
        sa.Column("runtime", sa.Double),
        sa.Column("error_type", name(255)),
        sa.Column("error_message", long_text()),
        sa.Column("error_data", content()),
        sa.Column("traceback", long_text()),
        sa.Column("expires_at", UtcDateTime()),
    ]


def upgrade():
    add_columns(RESULTS, *columns())
    create_index("idx_results_expires_at", RESULTS, ["expires_at"])


def downgrade():
    # An older version takes every row for a value that was returned.
    if not op.get_context().as_sql:
        op.execute(f"DELETE FROM {RESULTS} WHERE state <> 'completed' OR codec IS NOT NULL")
    drop_index("idx_results_expires_at", RESULTS)
    drop_columns(RESULTS, *(column.name for column in columns()))
