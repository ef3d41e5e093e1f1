"""MySQL and MariaDB: sessions in UTC, strict, READ COMMITTED; many rows in one INSERT."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from celers_worker.core.task import NewTask, TaskState
from celers_worker.store import statements
from celers_worker.store.base import Store, StoreOptions
from celers_worker.store.transaction import Transaction
from celers_worker.store.values import new_values

#: For every session, also of the synchronous driver. The server's own defaults differ: local time,
#: silent truncation, latin1, and REPEATABLE READ, whose gap locks let a claim block every enqueue.
_SESSION = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
ISOLATION = "READ COMMITTED"


def session(options: StoreOptions) -> str:
    """What a session begins with.

    One that is silent in a transaction for longer than a call may take is frozen, and must not
    keep its locks; only MariaDB can be told, in a comment that MySQL does not read.
    """
    silence = math.ceil(options.call_timeout.total_seconds())
    return f"{_SESSION} /*M!100300 , idle_transaction_timeout = {silence} */"


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
        statement = statements.INSERT_ROWS_UNLESS_KNOWN if unless_known else statements.INSERT_ROWS
        self.connection.execute(statement, rows)


class MySQLStore(Store):
    """The store on MySQL or MariaDB."""

    transaction = MySQLTransaction

    def _connect_arguments(self) -> dict[str, Any]:
        return {
            "charset": "utf8mb4",
            "init_command": session(self.options),
            "connect_timeout": max(1, round(self.options.connect_timeout.total_seconds())),
        }

    def _engine_options(self) -> dict[str, Any]:
        return {"isolation_level": ISOLATION}
