"""What is known of a worker's end."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from celers_worker.store.migrate import add_columns, drop_columns

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade():
    exact = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
    add_columns(
        "celers_workers",
        sa.Column("ended_by", sa.String(255).with_variant(exact, "mysql", "mariadb")),
    )


def downgrade():
    drop_columns("celers_workers", "ended_by")
