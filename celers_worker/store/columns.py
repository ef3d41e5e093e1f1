"""Columns: what all tables have in common, values as each database has them, a task's columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from celers_worker.core.task import DEFAULT_MAX_RETRIES
from celers_worker.store import sql
from celers_worker.store.types import Id, LenientJson, UtcDateTime

metadata = MetaData()
MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

#: For an index's ``info["only_on"]``: the dialects that have it, if not all do.
NOT_POSTGRESQL = frozenset({"mysql", "mariadb", "sqlite"})


def name_text(length: int) -> TypeEngine[str]:
    """Text that is compared byte for byte: MySQL's default would hold 'abc' = 'ABC' = 'ábc'."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def long_text() -> TypeEngine[str]:
    """Text that may be long: messages, tracebacks."""
    return Text().with_variant(
        mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def content() -> TypeEngine[bytes]:
    """Bytes: payloads, results."""
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def document() -> TypeEngine[Any]:
    """JSON; on SQLite also what other programs wrote that is none."""
    return (
        JSON(none_as_null=True)
        .with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
        .with_variant(LenientJson(), "sqlite")
    )


def task_columns(*, by_completion: bool = False) -> Iterator[Column[Any]]:
    """The columns of a task, wherever it is kept."""
    yield Column("id", Id(), primary_key=True)
    yield Column("task_name", name_text(255), nullable=False)
    yield Column("payload", content(), nullable=False)
    yield Column("state", name_text(20), nullable=False, server_default="pending")
    yield Column("priority", Integer, nullable=False, server_default="0")
    yield Column("retry_count", Integer, nullable=False, server_default="0")
    yield Column("max_retries", Integer, nullable=False, server_default=str(DEFAULT_MAX_RETRIES))
    yield Column("created_at", UtcDateTime(), nullable=False, server_default=sql.column_now())
    yield Column("scheduled_at", UtcDateTime(), nullable=False, server_default=sql.column_now())
    yield Column("started_at", UtcDateTime())
    # PostgreSQL wants the key of the partitions in the primary key.
    yield Column("completed_at", UtcDateTime(), primary_key=by_completion)
    yield Column("worker_id", name_text(255))
    yield Column("error_message", long_text())
    yield Column("metadata", document())
    # Empty: written by a foreign producer, and its queue is metadata.queue; see maintenance.adopt.
    yield Column("queue_name", name_text(128), nullable=False, server_default="")
    yield Column("lease", BigInteger, nullable=False, server_default="0")
    yield Column("crash_count", Integer, nullable=False, server_default="0")
    yield Column("timeout", Double)
    yield Column("expires_at", UtcDateTime())
    yield Column("unique_key", name_text(255))
    yield Column("fingerprint", name_text(255))
    yield Column("group_id", name_text(36))
    yield Column("chord_id", name_text(36))
    yield Column("workflow_id", Id())
    yield Column("waits_for", Integer, nullable=False, server_default="0")
    yield Column("cancel_requested_at", UtcDateTime())
    yield Column("cancel_reason", name_text(255))


def not_postgresql(ddl: Any, target: Any, bind: Any, *rest: Any, **options: Any) -> bool:
    """For ``ddl_if``: PostgreSQL has another form of this."""
    return bool(options["dialect"].name != "postgresql")
