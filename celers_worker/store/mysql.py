"""MySQL and MariaDB: sessions in UTC, strict, READ COMMITTED; many rows in one INSERT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celers_worker.core.task import NewTask, TaskState
from celers_worker.store import statements
from celers_worker.store.base import Store
from celers_worker.store.transaction import Transaction, new_values

#: For every session, also of the synchronous driver. The server's own defaults differ: local time,
#: silent truncation, latin1, and REPEATABLE READ, whose gap locks let a claim block every enqueue.
SESSION = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
ISOLATION = "READ COMMITTED"


class MySQLTransaction(Transaction):
    """A transaction on MySQL or MariaDB."""

    def insert(self, tasks: Sequence[NewTask], *, unless_known: bool) -> None:
        """Ask for the time first: with expressions in VALUES, each row would be a round trip."""
        if len(tasks) == 1:
            super().insert(tasks, unless_known=unless_known)
            return
        now = self.connection.execute(statements.NOW).scalar_one()
        rows = [
            {
                **new_values(task),
                "new_state": TaskState.PENDING.value,
                "new_created_at": now,
                "new_scheduled_at": task.at or now + task.delay,
                "new_expires_at": None if task.expires is None else now + task.expires,
            }
            for task in tasks
        ]
        statement = (
            statements.INSERT_ROWS_UNLESS_KNOWN if unless_known else statements.INSERT_ROWS
        )
        self.connection.execute(statement, rows)


class MySQLStore(Store):
    """The store on MySQL or MariaDB."""

    transaction = MySQLTransaction

    def _connect_arguments(self) -> dict[str, Any]:
        return {
            "charset": "utf8mb4",
            "init_command": SESSION,
            "connect_timeout": max(1, round(self.options.connect_timeout.total_seconds())),
        }

    def _engine_options(self) -> dict[str, Any]:
        return {"isolation_level": ISOLATION}
