"""The tables of live, archived and dead tasks, their results and attempts, workers and queues.

MySQL commits every DDL statement by itself, so each step looks first whether it has been done: a
run that was killed is finished by the next one.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

from celers_worker.store.migrate import create_index, create_table, drop_table
from celers_worker.store.postgres import partitions
from celers_worker.store.sql import column_now
from celers_worker.store.types import Id, LenientJson, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HOT = {
    "fillfactor": 50,
    "autovacuum_vacuum_scale_factor": 0.0,
    "autovacuum_vacuum_threshold": 10_000,
    "autovacuum_vacuum_cost_delay": 0,
    "autovacuum_analyze_scale_factor": 0.0,
    "autovacuum_analyze_threshold": 50_000,
}
TABLES = (
    "celers_tasks",
    "celers_task_archive",
    "celers_dead_letter_queue",
    "celers_task_attempts",
    "celers_task_results",
    "celers_workers",
    "celers_queues",
)


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


def task_columns(*, by_completion=False):
    return [
        sa.Column("id", Id(), primary_key=True),
        sa.Column("task_name", name(255), nullable=False),
        sa.Column("payload", content(), nullable=False),
        sa.Column("state", name(20), nullable=False, server_default="pending"),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("retry_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("max_retries", sa.Integer, nullable=False, server_default="3"),
        sa.Column("created_at", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("scheduled_at", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("completed_at", UtcDateTime(), primary_key=by_completion),
        sa.Column("worker_id", name(255)),
        sa.Column("error_message", long_text()),
        sa.Column("metadata", json()),
        sa.Column("queue_name", name(128), nullable=False, server_default=""),
        sa.Column("lease", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("crash_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("timeout", sa.Double),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("unique_key", name(255)),
        sa.Column("fingerprint", name(255)),
        sa.Column("group_id", name(36)),
        sa.Column("chord_id", name(36)),
        sa.Column("workflow_id", Id()),
        sa.Column("waits_for", sa.Integer, nullable=False, server_default="0"),
        sa.Column("cancel_requested_at", UtcDateTime()),
        sa.Column("cancel_reason", name(255)),
    ]


def upgrade():
    on_postgres = op.get_context().dialect.name == "postgresql"
    create_table("celers_tasks", *task_columns(), postgresql_with=HOT)
    if on_postgres:
        create_index(
            "idx_tasks_dequeue",
            "celers_tasks",
            ["queue_name", "priority", "scheduled_at", "id"],
            postgresql_where=sa.text("state = 'pending'"),
        )
    else:
        create_index(
            "idx_tasks_state_queue",
            "celers_tasks",
            ["state", "queue_name", "priority", "scheduled_at", "id"],
        )
    has_key = sa.text("unique_key IS NOT NULL")
    create_index(
        "uq_tasks_unique_key",
        "celers_tasks",
        ["unique_key"],
        unique=True,
        postgresql_where=has_key,
        sqlite_where=has_key,
    )
    create_table(
        "celers_task_archive",
        *task_columns(by_completion=True),
        postgresql_partition_by="RANGE (completed_at)",
    )
    if on_postgres:
        # Nothing is ever refused for want of a partition; the janitor makes the coming days'.
        op.execute(
            f"CREATE TABLE IF NOT EXISTS {partitions.DEFAULT_PARTITION} "
            "PARTITION OF celers_task_archive DEFAULT"
        )
        op.execute(partitions.create_partition(datetime.now(UTC).date()))
    else:
        create_index("idx_archive_completed_at", "celers_task_archive", ["completed_at"])
    create_table(
        "celers_dead_letter_queue",
        *task_columns(),
        sa.Column("failed_at", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("reason", name(255), nullable=False, server_default=""),
    )
    create_index("idx_dlq_failed_at", "celers_dead_letter_queue", ["failed_at"])
    create_table(
        "celers_task_attempts",
        sa.Column("task_id", Id(), primary_key=True),
        sa.Column("lease", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker_id", name(255)),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("failed_at", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("error_type", name(255), nullable=False),
        sa.Column("error_message", long_text(), nullable=False),
        sa.Column("traceback", long_text(), nullable=False),
    )
    create_index("idx_attempts_failed_at", "celers_task_attempts", ["failed_at"])
    create_table(
        "celers_task_results",
        sa.Column("task_id", Id(), primary_key=True),
        sa.Column("result", content(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False, server_default=column_now()),
    )
    create_index("idx_results_created_at", "celers_task_results", ["created_at"])
    create_table(
        "celers_workers",
        sa.Column("id", name(255), primary_key=True),
        sa.Column("name", name(255), nullable=False),
        sa.Column("host", name(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", name(64), nullable=False),
        sa.Column("queues", json(), nullable=False),
        sa.Column("handlers", json(), nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("running", sa.Integer, nullable=False, server_default="0"),
        sa.Column("state", name(20), nullable=False, server_default="running"),
        sa.Column("started_at", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=False, server_default=column_now()),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )
    create_table(
        "celers_queues",
        sa.Column("name", name(128), primary_key=True),
        sa.Column("paused_at", UtcDateTime()),
        sa.Column("paused_reason", name(255)),
    )


def downgrade():
    for table in reversed(TABLES):
        drop_table(table)
