"""What operators ask of workers and handlers, and the circuits of handlers."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from celers_worker.store.migrate import add_columns, create_table, drop_columns, drop_table
from celers_worker.store.types import LenientJson, UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def name(length):
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def json():
    kinds = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    return kinds.with_variant(LenientJson(), "sqlite")


def columns():
    return [
        sa.Column("limits", json()),
        sa.Column("wanted_state", name(20)),
        sa.Column("wanted_concurrency", sa.Integer),
        sa.Column("wanted_by", name(255)),
    ]


def upgrade():
    add_columns("celers_workers", *columns())
    create_table(
        "celers_handlers",
        sa.Column("name", name(255), primary_key=True),
        sa.Column("paused_at", UtcDateTime()),
        sa.Column("paused_reason", name(255)),
        sa.Column("opened_at", UtcDateTime()),
        sa.Column("opened_reason", name(255)),
        sa.Column("probe_at", UtcDateTime()),
        sa.Column("prober", name(255)),
    )


def downgrade():
    drop_table("celers_handlers")
    drop_columns("celers_workers", *(column.name for column in columns()))
