"""MySQL and MariaDB: sessions in UTC, strict, READ COMMITTED; many rows in one INSERT."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import URL, Select, text

from celers_worker.core.task import Demand, NewTask, Task, TaskState
from celers_worker.store import statements, sweeps
from celers_worker.store.base import Store, StoreOptions
from celers_worker.store.direct import DirectStore
from celers_worker.store.lookout import Lookout
from celers_worker.store.tls import tls_of, without_tls
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


#: From the ids to their rows. A plain DELETE reads a small table from end to end whatever hint it
#: gets, waits for each row that another worker has locked, and many settles met a deadlock.
DELETE_TASKS = text(
    "DELETE celers_tasks FROM JSON_TABLE(:ids, '$[*]' COLUMNS"
    " (id CHAR(36) CHARACTER SET ascii COLLATE ascii_general_ci PATH '$')) AS gone"
    " STRAIGHT_JOIN celers_tasks FORCE INDEX (PRIMARY) ON celers_tasks.id = gone.id"
)


class MySQLTransaction(Transaction):
    """A transaction on MySQL or MariaDB."""

    isolation = ISOLATION

    def delete(self, ids: Sequence[UUID]) -> None:
        """Row by row, by primary key."""
        if ids:
            given = json.dumps([str(task_id) for task_id in ids])
            self.connection.execute(DELETE_TASKS, {"ids": given})

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

    def as_of_now(self, query: Select[Any]) -> Select[Any]:
        """Locking, for a plain read sees the snapshot of an application's REPEATABLE READ.

        The rows are locked anyway: an INSERT that meets a key locks who has it.
        """
        return query.with_for_update()

    def producers_offset(self) -> float:
        """What a new session begins with, asked by being one for a moment."""
        ours = self.connection.execute(text("SELECT @@session.time_zone")).scalar_one()
        self.connection.execute(text("SET time_zone = DEFAULT"))
        try:
            offset = self.connection.execute(
                text("SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW())")
            ).scalar_one()
        finally:
            self.connection.execute(text("SET time_zone = :zone"), {"zone": ours})
        return float(offset)

    def analyze(self) -> None:
        """Count anew what the planner guesses by."""
        tables = "celers_tasks, celers_task_archive, celers_dead_letter_queue, celers_task_attempts"
        self.connection.exec_driver_sql(f"ANALYZE TABLE {tables}")

    def _sweep(self, demand: Demand) -> list[tuple[str, int, datetime, datetime]]:
        """Probe by probe: neither server bounds a scan in a subquery by a value from outside it.

        One statement for all levels, as elsewhere, walked through every waiting task: 114 ms for
        200,000 of them on MariaDB 10.11, against 1 ms so.
        """
        found = []
        for queue in self._queues(demand):
            values: dict[str, Any] = {"queue": queue}
            level = self.connection.execute(sweeps.TOP_LEVEL, values).scalar()
            while level is not None:
                values["at_priority"] = level
                first = self.connection.execute(sweeps.FIRST_OF_LEVEL, values).first()
                if first is not None:
                    found.append((queue, level, first[0], first[1]))
                level = self.connection.execute(sweeps.NEXT_LEVEL, values).scalar()
        return found

    def _queues(self, demand: Demand) -> Iterator[str]:
        if demand.others is None:
            yield from (sweeps.UNADOPTED, *demand.queues)
            return
        queue = self.connection.execute(sweeps.FIRST_QUEUE).scalar()
        while queue is not None:
            yield queue
            queue = self.connection.execute(sweeps.NEXT_QUEUE, {"queue": queue}).scalar()


class MySQLStore(Store):
    """The store on MySQL or MariaDB."""

    transaction = MySQLTransaction

    def __init__(self, url: URL, options: StoreOptions) -> None:
        super().__init__(url, options)
        self._lookout = Lookout(self, self._engine_url, self._connect_arguments())

    @property
    def poll_pause(self) -> float:
        """Longer while tasks wait for later: then a look is a sweep of several statements."""
        return 0.03 if self.levels.next_due is None else 0.12

    async def claim(self, worker: str, demand: Demand) -> list[Task]:
        """As everywhere, but only if anything waits."""
        nothing_known = self.levels.exhausted and self.levels.next_due is None
        if nothing_known and not await self._lookout.anything_waits():
            return []
        return await super().claim(worker, demand)

    async def close(self) -> None:
        """Close every connection."""
        await self._lookout.close()
        await super().close()

    @property
    def _engine_url(self) -> URL:
        return without_tls(self.url)

    def _connect_arguments(self) -> dict[str, Any]:
        return {
            **tls_of(self.url).asyncmy,
            "charset": "utf8mb4",
            "init_command": session(self.options),
            "connect_timeout": max(1, round(self.options.connect_timeout.total_seconds())),
        }

    def _engine_options(self) -> dict[str, Any]:
        # Each transaction ends by itself: to roll back once more would be a round trip for nothing.
        return {"isolation_level": ISOLATION, "pool_reset_on_return": None}


class MySQLDirectStore(DirectStore):
    """The synchronous store on MySQL or MariaDB."""

    transaction = MySQLTransaction

    @property
    def _engine_url(self) -> URL:
        return without_tls(self.url)

    def _connect_arguments(self) -> dict[str, Any]:
        return {
            **tls_of(self.url).pymysql,
            "connect_timeout": self.connect_seconds,
            "read_timeout": self.call_seconds,
            "write_timeout": self.call_seconds,
            "charset": "utf8mb4",
            "init_command": session(self.options),
        }

    def _engine_options(self) -> dict[str, Any]:
        return {"isolation_level": ISOLATION}
