"""The table of what handlers write to their logs: a row for each run that wrote anything."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from celers_worker.store import sql
from celers_worker.store.columns import MYSQL, content, metadata, name_text
from celers_worker.store.types import Id, UtcDateTime

#: ``content`` is JSON, as bytes: text may hold what no column of text takes.
run_logs = Table(
    "celers_task_logs",
    metadata,
    Column("task_id", Id(), primary_key=True),
    Column("lease", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", name_text(255)),
    Column("content", content(), nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    Index("idx_task_logs_updated_at", "updated_at"),
    **MYSQL,
)
