"""The tables: the one source, for statements and for migrations alike.

``celers_tasks`` holds live tasks only, so it stays small and its indexes hot; a finished task is
moved to the archive or the dead letter queue in the transaction that settles it. Names of tables
and of the columns of ``celers_tasks`` are CeleRS's, so that its producers can enqueue.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    Table,
    event,
    text,
)

from celers_worker.store import sql
from celers_worker.store.columns import (
    MYSQL,
    NOT_POSTGRESQL,
    content,
    document,
    long_text,
    name_text,
    not_postgresql,
    task_columns,
)
from celers_worker.store.columns import metadata as metadata
from celers_worker.store.handler_table import handlers as handlers
from celers_worker.store.limit_tables import limit_holders as limit_holders
from celers_worker.store.limit_tables import limits as limits
from celers_worker.store.log_table import run_logs as run_logs
from celers_worker.store.types import Id, UtcDateTime
from celers_worker.store.workflow.tables import task_edges as task_edges
from celers_worker.store.workflow.tables import workflow_steps as workflow_steps
from celers_worker.store.workflow.tables import workflows as workflows

#: The newest migration. A test compares it with alembic/versions.
HEAD = "0014"
VERSION_TABLE = "celers_alembic_version"


_PENDING = text("state = 'pending'")
_HAS_KEY = text("unique_key IS NOT NULL")

tasks = Table(
    "celers_tasks",
    metadata,
    *task_columns(),
    # Every row is updated once and then deleted: half-full pages keep its versions together, and
    # dead ones are removed after so many of them, however large the table has grown.
    postgresql_with={
        "fillfactor": 50,
        "autovacuum_vacuum_scale_factor": 0.0,
        "autovacuum_vacuum_threshold": 10_000,
        "autovacuum_vacuum_cost_delay": 0,
        "autovacuum_analyze_scale_factor": 0.0,
        "autovacuum_analyze_threshold": 50_000,
    },
    **MYSQL,
)
# Ids rise, so pages would be written full, and the entry that a claim adds would split each.
_room: Any = DDL("ALTER INDEX celers_tasks_pkey SET (fillfactor = 50)")  # type: ignore[no-untyped-call]  # SQLAlchemy's
event.listen(tasks, "after_create", _room.execute_if(dialect="postgresql"))
# Claim, schedule and order in one index. Within a (queue, priority) the due tasks are a range.
Index(
    "idx_tasks_dequeue",
    tasks.c.queue_name,
    tasks.c.priority,
    tasks.c.scheduled_at,
    tasks.c.id,
    postgresql_where=_PENDING,
    info={"only_on": frozenset({"postgresql"})},
).ddl_if(dialect="postgresql")
Index(
    "idx_tasks_state_queue",
    tasks.c.state,
    tasks.c.queue_name,
    tasks.c.priority,
    tasks.c.scheduled_at,
    tasks.c.id,
    info={"only_on": NOT_POSTGRESQL},
).ddl_if(callable_=not_postgresql)
# The table holds live tasks only, so this is "unique among the living". Partial, because an index
# that most rows are not in costs a claim nothing.
Index(
    "uq_tasks_unique_key",
    tasks.c.unique_key,
    unique=True,
    postgresql_where=_HAS_KEY,
    sqlite_where=_HAS_KEY,
)

archive = Table(
    "celers_task_archive",
    metadata,
    *task_columns(by_completion=True),
    # By day, so that retention is DROP TABLE; see maintenance.create_partitions.
    postgresql_partition_by="RANGE (completed_at)",
    **MYSQL,
)
Index("idx_archive_completed_at", archive.c.completed_at, info={"only_on": NOT_POSTGRESQL}).ddl_if(
    callable_=not_postgresql
)

dead_letters = Table(
    "celers_dead_letter_queue",
    metadata,
    *task_columns(),
    Column("failed_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("reason", name_text(255), nullable=False, server_default=""),
    Index("idx_dlq_failed_at", "failed_at"),
    **MYSQL,
)

#: Every attempt that failed, also of tasks that completed later.
attempts = Table(
    "celers_task_attempts",
    metadata,
    Column("task_id", Id(), primary_key=True),
    Column("lease", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", name_text(255)),
    Column("started_at", UtcDateTime()),
    Column("failed_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("error_type", name_text(255), nullable=False),
    Column("error_message", long_text(), nullable=False),
    Column("traceback", long_text(), nullable=False),
    Index("idx_attempts_failed_at", "failed_at"),
    **MYSQL,
)

#: What handlers returned, when it was not None, and why tasks failed for good. ``result`` is empty
#: for a failure; ``expires_at`` is null for what is kept as ``[retention] results`` says.
results = Table(
    "celers_task_results",
    metadata,
    Column("task_id", Id(), primary_key=True),
    Column("result", content(), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("state", name_text(20), nullable=False, server_default="completed"),
    Column("task_name", name_text(255)),
    Column("codec", name_text(64)),
    Column("runtime", Double),
    Column("error_type", name_text(255)),
    Column("error_message", long_text()),
    Column("error_data", content()),
    Column("traceback", long_text()),
    Column("expires_at", UtcDateTime()),
    Index("idx_results_created_at", "created_at"),
    Index("idx_results_expires_at", "expires_at"),
    **MYSQL,
)

#: What handlers say of how far they are.
progress = Table(
    "celers_task_progress",
    metadata,
    Column("task_id", Id(), primary_key=True),
    Column("lease", BigInteger, nullable=False),
    Column("done", Double, nullable=False),
    Column("total", Double),
    Column("message", name_text(255)),
    Column("updated_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Index("idx_progress_updated_at", "updated_at"),
    **MYSQL,
)

#: One row a process. While ``expires_at`` lies ahead, the leases on its tasks live.
workers = Table(
    "celers_workers",
    metadata,
    Column("id", name_text(255), primary_key=True),
    Column("name", name_text(255), nullable=False),
    Column("host", name_text(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", name_text(64), nullable=False),
    Column("queues", document(), nullable=False),
    Column("handlers", document(), nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("state", name_text(20), nullable=False, server_default="running"),
    Column("started_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("heartbeat_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("expires_at", UtcDateTime(), nullable=False),
    # What is known of its end, by who saw it: "SIGKILL".
    Column("ended_by", name_text(255)),
    # How many tasks of each queue and handler it runs at most; see core.orders.Limits.
    Column("limits", document()),
    # What an operator asked of it, for its heartbeat to read.
    Column("wanted_state", name_text(20)),
    Column("wanted_concurrency", Integer),
    Column("wanted_by", name_text(255)),
    # The suspect that it has begun last, with its lease, 0 before the first. NULL: it does not say.
    Column("suspect_id", Id()),
    Column("suspect_lease", BigInteger),
    **MYSQL,
)

#: What a person said about a queue; a queue without a row is open.
queues = Table(
    "celers_queues",
    metadata,
    Column("name", name_text(128), primary_key=True),
    Column("paused_at", UtcDateTime()),
    Column("paused_reason", name_text(255)),
    **MYSQL,
)

#: Keys that stay taken when their task has ended; a key without a row is free once it has.
unique_windows = Table(
    "celers_unique_windows",
    metadata,
    Column("unique_key", name_text(255), primary_key=True),
    Column("task_id", Id(), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=False),
    Index("idx_unique_windows_expires_at", "expires_at"),
    **MYSQL,
)

#: Entries that enqueue tasks, and how far each has come. Ticks up to ``due_after`` are dealt with.
schedules = Table(
    "celers_schedules",
    metadata,
    Column("name", name_text(128), primary_key=True),
    Column("source", name_text(20), nullable=False),
    Column("task_name", name_text(255), nullable=False),
    Column("payload", content(), nullable=False),
    Column("options", document(), nullable=False),
    Column("cron", name_text(255)),
    Column("interval_seconds", BigInteger),
    Column("time_zone", name_text(64), nullable=False, server_default="UTC"),
    Column("misfire", name_text(20), nullable=False, server_default="once"),
    Column("misfire_after", Double, nullable=False, server_default="60"),
    Column("catch_up", Integer, nullable=False, server_default="100"),
    Column("overlap", name_text(20), nullable=False, server_default="allow"),
    Column("jitter", Double, nullable=False, server_default="0"),
    Column("due_after", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("next_tick", UtcDateTime()),
    Column("waiting_tick", UtcDateTime()),
    Column("last_task_id", Id()),
    Column("paused_at", UtcDateTime()),
    Column("paused_reason", name_text(255)),
    Column("created_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("changed_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    # When a worker that declares it was last there; see schedules.declare.
    Column("seen_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    **MYSQL,
)

#: What became of each tick. Its row is written with its task: the key is why there is only one.
schedule_ticks = Table(
    "celers_schedule_ticks",
    metadata,
    Column("schedule_name", name_text(128), primary_key=True),
    Column("tick", UtcDateTime(), primary_key=True),
    Column("outcome", name_text(20), nullable=False),
    Column("since", UtcDateTime()),
    Column("task_id", Id()),
    Column("decided_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Index("idx_schedule_ticks_decided_at", "decided_at"),
    **MYSQL,
)

#: The queues whose tasks leave a trail. While it is empty there are no triggers; see history.
audited = Table(
    "celers_history_queues",
    metadata,
    Column("name", name_text(128), primary_key=True),
    Column("since", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    **MYSQL,
)

#: The audit trail: a row for each change of a task's state, written by triggers.
history = Table(
    "celers_task_history",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("task_id", Id(), nullable=False),
    Column("state", name_text(20), nullable=False),
    Column("timestamp", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Column("worker_id", name_text(255)),
    Column("message", long_text()),
    Column("queue_name", name_text(128), nullable=False, server_default=""),
    Column("lease", BigInteger, nullable=False, server_default="0"),
    Index("idx_history_task_id", "task_id", "id"),
    **MYSQL,
)

#: Who does the upkeep, and when each of its duties is due again.
upkeep = Table(
    "celers_upkeep",
    metadata,
    Column("name", name_text(64), primary_key=True),
    Column("holder", name_text(255)),
    Column("expires_at", UtcDateTime()),
    Column("done_at", UtcDateTime()),
    Column("due_at", UtcDateTime()),
    **MYSQL,
)

#: The columns that travel with a task when it moves between tables.
TASK_COLUMNS: tuple[str, ...] = tuple(column.name for column in tasks.columns)
