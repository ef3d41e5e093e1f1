"""Schedules, and what became of each of their ticks."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from celers_worker.store.migrate import create_index, create_table, drop_table
from celers_worker.store.sql import column_now
from celers_worker.store.types import Id, LenientJson, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def name(length):
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def json():
    kinds = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    return kinds.with_variant(LenientJson(), "sqlite")


def content():
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def instant(column):
    return sa.Column(column, UtcDateTime(), nullable=False, server_default=column_now())


def upgrade():
    create_table(
        "celers_schedules",
        sa.Column("name", name(128), primary_key=True),
        sa.Column("source", name(20), nullable=False),
        sa.Column("task_name", name(255), nullable=False),
        sa.Column("payload", content(), nullable=False),
        sa.Column("options", json(), nullable=False),
        sa.Column("cron", name(255)),
        sa.Column("interval_seconds", sa.BigInteger),
        sa.Column("time_zone", name(64), nullable=False, server_default="UTC"),
        sa.Column("misfire", name(20), nullable=False, server_default="once"),
        sa.Column("misfire_after", sa.Double, nullable=False, server_default="60"),
        sa.Column("catch_up", sa.Integer, nullable=False, server_default="100"),
        sa.Column("overlap", name(20), nullable=False, server_default="allow"),
        sa.Column("jitter", sa.Double, nullable=False, server_default="0"),
        instant("due_after"),
        sa.Column("next_tick", UtcDateTime()),
        sa.Column("waiting_tick", UtcDateTime()),
        sa.Column("last_task_id", Id()),
        sa.Column("paused_at", UtcDateTime()),
        sa.Column("paused_reason", name(255)),
        instant("created_at"),
        instant("changed_at"),
        instant("seen_at"),
    )
    create_table(
        "celers_schedule_ticks",
        sa.Column("schedule_name", name(128), primary_key=True),
        sa.Column("tick", UtcDateTime(), primary_key=True),
        sa.Column("outcome", name(20), nullable=False),
        sa.Column("since", UtcDateTime()),
        sa.Column("task_id", Id()),
        instant("decided_at"),
    )
    create_index("idx_schedule_ticks_decided_at", "celers_schedule_ticks", ["decided_at"])


def downgrade():
    drop_table("celers_schedule_ticks")
    drop_table("celers_schedules")
