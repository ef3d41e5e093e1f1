"""Settings of the server that promises depend on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import text

from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, error, warning
from celers_worker.store.transaction import Transaction

#: What a packet must hold: a thousand tasks, or one of the largest payload.
_PACKET = 16 * 1024 * 1024
_LOSES = (
    "What was committed in the last moments can be lost when the server's machine dies, though the "
    "enqueue had returned."
)

_BREAKS = "The database may not survive a crash of its machine, and all tasks with it."
_DURABLE = {"fsync": _BREAKS, "full_page_writes": _BREAKS, "synchronous_commit": _LOSES}


def examine(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    """Look at durability, isolation, time zone, characters and upkeep."""
    match transaction.connection.dialect.name:
        case "postgresql":
            yield from _postgresql(transaction)
        case "sqlite":
            yield from _sqlite(transaction)
        case "mysql" | "mariadb":
            yield from _mysql(transaction)


def _postgresql(transaction: Transaction) -> Iterator[Finding]:
    rows = transaction.connection.execute(text("SELECT name, setting, reset_val FROM pg_settings"))
    current = {row.name: row for row in rows}
    if transaction.connection.execute(text("SELECT pg_is_in_recovery()")).scalar():
        yield error(
            "the server is a standby: it can only be read",
            "No task can be added, claimed or settled there.",
            "point database.url at the primary  (several hosts: target_session_attrs=read-write)",
        )
    elif current["default_transaction_read_only"].setting == "on":
        yield error(
            "transactions are read-only by default there",
            "No task can be added, claimed or settled.",
            "ALTER DATABASE … SET default_transaction_read_only = off",
        )
    for name, loses in _DURABLE.items():
        if current[name].setting == "off":
            mend = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"
            yield warning(f"{name} is off", loses, mend)
    yield from _autovacuum(transaction, current["autovacuum"].setting)
    isolation = current["default_transaction_isolation"].reset_val
    if isolation != "read committed":
        yield warning(
            f"transactions are {isolation} by default there",
            "Celers asks for its own. But an application that enqueues in its transactions meets "
            "serialization failures, and must repeat them.",
            "ALTER DATABASE … SET default_transaction_isolation = 'read committed'",
        )
    encoding = current["server_encoding"].setting
    if encoding not in ("UTF8", "UTF-8"):
        yield error(
            f"the database's encoding is {encoding}",
            "Messages, names and results with other characters cannot be stored.",
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, then: celers copy",
        )


def _autovacuum(transaction: Transaction, setting: str) -> Iterator[Finding]:
    if setting == "off":
        yield error(
            "autovacuum is off",
            "Every claim leaves a dead row behind. Without vacuum claims get slower and the table "
            "grows, until the server stops to protect itself.",
            "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()",
        )
    off = "SELECT relname FROM pg_class WHERE relname = 'celers_tasks' AND reloptions::text LIKE"
    if transaction.connection.execute(text(f"{off} '%autovacuum_enabled=false%'")).first():
        yield error(
            "autovacuum is off for celers_tasks",
            "Every claim leaves a dead row behind, and nobody removes them.",
            "ALTER TABLE celers_tasks RESET (autovacuum_enabled)",
        )


def _mysql(transaction: Transaction) -> Iterator[Finding]:
    found = {
        row[0].lower(): str(row[1])
        for row in transaction.connection.execute(text("SHOW GLOBAL VARIABLES"))
    }
    if found.get("read_only", "OFF").upper() not in ("OFF", "0"):
        yield error(
            "the server is read-only",
            "No task can be added, claimed or settled there, but by a user with SUPER.",
            "point database.url at the primary  (or: SET GLOBAL read_only = OFF)",
        )
    if found.get("innodb_flush_log_at_trx_commit", "1") != "1":
        yield warning(
            f"innodb_flush_log_at_trx_commit is {found['innodb_flush_log_at_trx_commit']}, not 1",
            _LOSES,
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1  (and in the server's configuration)",
        )
    if found.get("log_bin", "OFF").upper() in ("ON", "1") and found.get("sync_binlog") == "0":
        yield warning(
            "sync_binlog is 0 while the binary log is on",
            "After a crash replicas may have what the server lost, or miss what it kept.",
            "SET GLOBAL sync_binlog = 1  (and in the server's configuration)",
        )
    packet = int(found.get("max_allowed_packet", _PACKET))
    if packet < _PACKET:
        yield warning(
            f"max_allowed_packet is {packet:,} bytes",
            "An enqueue of many tasks, or of a large payload, is refused.",
            f"SET GLOBAL max_allowed_packet = {_PACKET}  (and in the server's configuration)",
        )
    yield from _mysql_session(transaction)


def _mysql_session(transaction: Transaction) -> Iterator[Finding]:
    """What every session of ours asks for; a proxy between may not pass it on."""
    name = "tx_isolation" if _has(transaction, "tx_isolation") else "transaction_isolation"
    row: Any = transaction.connection.execute(
        text(f"SELECT @@session.{name}, @@session.time_zone, @@character_set_connection")
    ).one()
    if row[0] != "READ-COMMITTED":
        yield error(
            f"sessions are {row[0]}, though READ-COMMITTED was asked for",
            "Gap locks let a claim block every enqueue.",
            "remove what changes sessions between Celers and the server",
        )
    if row[1] != "+00:00":
        yield error(
            f"the time zone of sessions is {row[1]}, though UTC was asked for",
            "Tasks are due too early or too late.",
            "remove what changes sessions between Celers and the server",
        )
    if row[2] != "utf8mb4":
        yield error(
            f"the characters of sessions are {row[2]}, not utf8mb4",
            "Messages, names and results with other characters cannot be stored.",
            "remove charset from database.url, and what changes sessions on the way",
        )


def _has(transaction: Transaction, name: str) -> bool:
    rows = transaction.connection.execute(text("SHOW SESSION VARIABLES LIKE :name"), {"name": name})
    return rows.first() is not None


def _sqlite(transaction: Transaction) -> Iterator[Finding]:
    mode = transaction.connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    if mode not in ("wal", "memory"):
        yield warning(
            f"the file's journal mode is {mode}, not WAL",
            "Readers and the writer wait for each other.",
            "PRAGMA journal_mode = WAL  (celers worker sets it when it opens the file)",
        )
