"""Dead rows, and who keeps them from being removed: the holder of the oldest snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from celers_worker.core.duration import format_seconds
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, warning
from celers_worker.store.transaction import Transaction

_WHY = (
    "While it is open, nobody removes what tasks leave behind when they are claimed and settled: "
    "claims get slower and the table grows."
)
_SNAPSHOTS = """
SELECT pid, usename, application_name, client_addr, state,
       extract(epoch FROM statement_timestamp() - coalesce(xact_start, backend_start)) AS age
  FROM pg_stat_activity
 WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
   AND statement_timestamp() - coalesce(xact_start, backend_start) > make_interval(secs => :age)
 ORDER BY age DESC LIMIT 3
"""
_PREPARED = """
SELECT gid, extract(epoch FROM statement_timestamp() - prepared) AS age FROM pg_prepared_xacts
 WHERE database = current_database()
   AND statement_timestamp() - prepared > make_interval(secs => :age)
 ORDER BY prepared LIMIT 3
"""
_SLOTS = "SELECT slot_name FROM pg_replication_slots WHERE xmin IS NOT NULL AND NOT active"
_DEAD = """
SELECT n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relid = 'celers_tasks'::regclass
"""
#: InnoDB tells in the time of its host when a transaction began, whatever the session's zone.
_TRANSACTIONS = """
SELECT t.trx_mysql_thread_id AS pid, p.user, p.host, p.command,
       TIMESTAMPDIFF(SECOND, t.trx_started, {now}) AS age
  FROM information_schema.innodb_trx t
  LEFT JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
 WHERE t.trx_mysql_thread_id <> CONNECTION_ID()
   AND TIMESTAMPDIFF(SECOND, t.trx_started, {now}) >= :age
 ORDER BY t.trx_started LIMIT 3
""".format(now="CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')")

#: MySQL's number for what one may not see.
_NO_PROCESS = 1227


def examine(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    """Look at dead rows, old snapshots, forgotten transactions and slots, and SQLite's log."""
    match transaction.connection.dialect.name:
        case "postgresql":
            yield from _postgresql(transaction, thresholds)
        case "sqlite":
            yield from _sqlite(transaction, thresholds)
        case "mysql" | "mariadb":
            yield from _mysql(transaction, thresholds)


def _postgresql(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    connection = transaction.connection
    age = {"age": thresholds.snapshot.total_seconds()}
    for row in connection.execute(text(_SNAPSHOTS), age):
        client = row.application_name or row.client_addr or "no name"
        yield warning(
            f"the session {row.pid} of {row.usename} ({client}, {row.state}) has held a snapshot "
            f"for {_age(row)}",
            _WHY,
            f"SELECT pg_terminate_backend({row.pid})",
        )
    for row in connection.execute(text(_PREPARED), age):
        yield warning(
            f"the prepared transaction {row.gid} has been waiting for {_age(row)}",
            _WHY,
            f"ROLLBACK PREPARED '{row.gid}'",
        )
    for row in connection.execute(text(_SLOTS)):
        yield warning(
            f"the replication slot {row.slot_name} keeps dead rows, and nobody reads it",
            _WHY,
            f"SELECT pg_drop_replication_slot('{row.slot_name}')",
        )
    dead = connection.execute(text(_DEAD)).first()
    if dead is not None and dead.n_dead_tup > max(thresholds.dead_rows, 10 * dead.n_live_tup):
        yield warning(
            f"celers_tasks has {dead.n_dead_tup:,} dead rows beside {dead.n_live_tup:,} live ones",
            "Vacuum does not keep up, or somebody holds an old snapshot: claims get slower.",
            "celers maintain vacuum",
        )


def _mysql(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    age = {"age": int(thresholds.snapshot.total_seconds())}
    try:
        rows = transaction.connection.execute(text(_TRANSACTIONS), age).all()
    except DBAPIError as problem:
        if getattr(problem.orig, "args", (0,))[0] != _NO_PROCESS:
            raise
        return  # few applications have the right to see what others do
    for row in rows:
        yield warning(
            f"the session {row.pid} of {row.user or 'somebody'}@{row.host or '?'} "
            f"({row.command or '?'}) has had a transaction open for {_age(row)}",
            _WHY,
            f"KILL {row.pid}",
        )


def _sqlite(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    rows = transaction.connection.exec_driver_sql("PRAGMA database_list").all()
    file = next((row[2] for row in rows if row[1] == "main"), "")
    log = Path(f"{file}-wal")
    size = log.stat().st_size if file and log.exists() else 0
    if size > thresholds.wal_bytes:
        yield warning(
            f"{log} has {size:,} bytes",
            "Somebody reads the file all the time, so its log is never folded back: every read "
            "gets slower.",
            f"fuser {file}  (end the process that reads, then: celers maintain vacuum)",
        )


def _age(row: Any) -> str:
    return format_seconds(float(row.age))
