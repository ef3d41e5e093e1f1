"""A transaction: what Celers does to tasks inside one database transaction, portable by default.

Written once, synchronously, over a SQLAlchemy Connection. The asynchronous store runs it in
SQLAlchemy's greenlet, the synchronous one and SQLite's writer thread call it directly, and an
application passes the connection of its own transaction. A database that wants another sequence of
statements overrides a method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Connection, Select, Table

from celers_worker.core.outcome import (
    Settlement,
)
from celers_worker.core.task import Demand, Enqueued, NewTask, Task, TaskState
from celers_worker.store import lease_statements, sql, statements, sweeps
from celers_worker.store.attempt import FailedAttempt
from celers_worker.store.capacity import check_room
from celers_worker.store.levels import Level, Levels
from celers_worker.store.schema import archive
from celers_worker.store.settling import Settling
from celers_worker.store.unique import UniqueEnqueue
from celers_worker.store.values import adopted_values, chunks, new_values
from celers_worker.store.workflow import foreign, progress
from celers_worker.store.workflow.progress import Ended


class Transaction:
    """The life of a task in one transaction of *connection*, which the caller commits."""

    #: What the statements count on; None where the database has nothing else.
    isolation: ClassVar[str | None] = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def join(self) -> None:
        """Make a transaction that another's engine began like one of ours; most are."""

    # --- in the order of a task's life ---

    def enqueue(
        self,
        tasks: Sequence[NewTask],
        *,
        repeated: bool = False,
        capacities: Mapping[str, int] | None = None,
    ) -> list[Enqueued]:
        """Add *tasks*; one whose unique key is taken is left out, and the task that has it named.

        *repeated*: an earlier try may have succeeded, so those whose ids exist are left out.
        Raises QueueFull, by *capacities* of queues, or UniqueKeyTaken; then nothing was added.
        """
        known = self._known(task.id for task in tasks) if repeated else frozenset()
        fresh = [task for task in tasks if task.id not in known]
        plain = [task for task in fresh if task.unique_key is None]
        keyed = [task for task in fresh if task.unique_key is not None]
        if capacities:
            check_room(self.connection, fresh, capacities)
        unique = UniqueEnqueue(self, repeated=repeated)
        unique.add_refusable(keyed)
        # Before those that only meet a key: what MySQL then locks stands in the way of any insert.
        for chunk in chunks(plain):
            self.insert(chunk, unless_known=repeated)
        found = unique.add(keyed)
        self.announce({task.queue for task in fresh if not task.delay and task.at is None})
        return [found.get(task.id) or Enqueued(task.id) for task in tasks]

    def insert(self, tasks: Sequence[NewTask], *, unless_known: bool) -> None:
        """Add rows; *unless_known* leaves out those whose id or unique key is taken."""
        statement = (
            statements.INSERT_TASKS_UNLESS_KNOWN if unless_known else statements.INSERT_TASKS
        )
        self.connection.execute(statement, [new_values(task) for task in tasks])

    def announce(self, queues: Iterable[str]) -> None:
        """Tell waiting workers that *queues* have new tasks; not every database can."""

    def nudge(self) -> None:
        """Tell workers to look at what a person asked for; not every database can."""

    def claim(self, worker: str, demand: Demand, levels: Levels) -> list[Task]:
        """Lease due tasks to *worker*, no more than *demand* says, in the order of their start."""
        if levels.stale(demand):
            began = time.monotonic()
            levels.learn(self.sweep(demand), began=began)
        asked = levels.due(demand)
        claimed: list[Task] = []
        handlers = dict(demand.handlers)
        for level in asked:
            room = min(level.room, demand.total - len(claimed))
            if room > 0:
                claimed += self._due(level, room, demand.excluded, handlers)
        if claimed:
            self.connection.execute(
                statements.LEASE, {"worker": worker, "ids": [task.id for task in claimed]}
            )
        levels.advance(asked, claimed, demand)
        return sorted(claimed, key=lambda task: (-task.priority, task.scheduled_at, task.id))

    def sweep(self, demand: Demand) -> list[tuple[str, int, datetime, datetime]]:
        """Find the levels of the queues in *demand*, adopting what foreign producers wrote."""
        rows = self._sweep(demand)
        if any(row[0] == sweeps.UNADOPTED for row in rows):
            self._adopt()
            rows = self._sweep(demand)
        return [row for row in rows if row[0] != sweeps.UNADOPTED]

    def levels_of(self, demand: Demand) -> list[tuple[str, int, datetime, datetime]]:
        """``sweep`` for people: it changes nothing, so what was not adopted yet is queue ""."""
        return self._sweep(demand)

    def settle(
        self, worker: str, settlements: Sequence[Settlement], *, keep_completed: bool = True
    ) -> set[UUID]:
        """Write outcomes of leases still held, and return their ids; the others change nothing.

        *keep_completed*: False deletes completed tasks instead of archiving them. A result is kept.
        """
        return Settling(self, worker).write(settlements, keep_completed=keep_completed)

    def renew(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """Renew a worker's lease and read its orders; no row: the lease had run out."""
        if self.connection.execute(lease_statements.RENEW_WORKER, values).rowcount != 1:
            return []
        asked = {"worker": values["worker"]}
        return self.connection.execute(lease_statements.ORDERS, asked).all()

    def tell_ended(self) -> None:
        """Tell who waits for results that tasks have ended; not every database can."""

    def as_of_now(self, query: Select[Any]) -> Select[Any]:
        """*query* as it sees what others have committed since this transaction began."""
        return query

    def producers_offset(self) -> float:
        """How many seconds NOW() of a session that says nothing is from UTC, where that matters."""
        return 0.0

    def keep_partitions(self, retention: timedelta) -> None:
        """Make and drop partitions of the archive; only PostgreSQL has them."""

    def newest_ended(
        self, query: Callable[[Table], Select[Any]], window: timedelta, *, limit: int
    ) -> Sequence[Any]:
        """Up to *limit* rows of the archive, the newest that ended within *window*."""
        since = archive.c.completed_at > sql.later(-window.total_seconds())
        newest = query(archive).where(since).order_by(archive.c.completed_at.desc()).limit(limit)
        return self.connection.execute(newest).all()

    def analyze(self) -> None:
        """Let the planner know the tables as they are; the whole of it once a week."""
        self.connection.exec_driver_sql("PRAGMA optimize")

    # --- the parts that maintenance and control use too ---

    def bury(
        self, ids: Sequence[UUID], *, reason: str, message: str, failed: int = 0, crashed: int = 0
    ) -> None:
        """End tasks as dead, and what waits for them; the caller has locked their rows."""
        ended = progress.members(self, ids, Ended(TaskState.FAILED, message))
        self.move_to_dead_letters(
            ids, reason=reason, message=message, failed=failed, crashed=crashed
        )
        if ids:
            self.tell_ended()
        progress.move_on(self, ended)

    def move_to_dead_letters(
        self, ids: Sequence[UUID], *, reason: str, message: str, failed: int = 0, crashed: int = 0
    ) -> None:
        """Move rows to the dead letter queue; nobody who waits for them is told."""
        values = {"message": message, "why": reason[:255], "failed": failed, "crashed": crashed}
        self.connection.execute(statements.BURY, {"ids": list(ids), **values})
        self.delete(ids)

    def record_attempts(self, attempts: Sequence[FailedAttempt]) -> None:
        """Keep what attempts failed of; told the same a second time, nothing happens."""
        values = [
            {
                "of_task": attempt.task_id,
                "with_lease": attempt.lease,
                "number": attempt.number,
                "worker": attempt.worker,
                "since": attempt.started_at,
                "kind": attempt.failure.type,
                "message": attempt.failure.message,
                "trace": attempt.failure.traceback,
            }
            for attempt in attempts
        ]
        if values:
            self.connection.execute(statements.INSERT_ATTEMPT, values)

    def archive_cancelled(self, ids: Sequence[UUID], reason: str) -> None:
        """End tasks as cancelled, and what waits for them; the caller has locked their rows."""
        ended = progress.members(self, ids, Ended(TaskState.CANCELLED, reason))
        self.move_to_archive(ids, TaskState.CANCELLED, reason)
        if ids:
            self.tell_ended()
        progress.move_on(self, ended)

    def move_to_archive(
        self, ids: Sequence[UUID], state: TaskState, message: str | None = None
    ) -> None:
        """Move rows to the archive; nobody who waits for them is told."""
        for chunk in chunks(ids):
            self.connection.execute(statements.ARCHIVE[state], {"ids": chunk, "message": message})
        self.delete(ids)

    def delete(self, ids: Sequence[UUID]) -> None:
        """Delete rows, whose tasks are elsewhere by now, or are wanted nowhere."""
        for chunk in chunks(ids):
            self.connection.execute(statements.DELETE_TASKS, {"ids": chunk})

    # --- inside ---

    def _known(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        return frozenset(
            row.id
            for chunk in chunks(list(ids))
            for row in self.connection.execute(statements.KNOWN_IDS, {"ids": chunk})
        )

    def _sweep(self, demand: Demand) -> list[tuple[str, int, datetime, datetime]]:
        if demand.others is not None:
            rows = self.connection.execute(sweeps.sweep(None))
        else:
            names = [sweeps.UNADOPTED, *demand.queues]
            binds = {f"queue_{index}": name for index, name in enumerate(names)}
            rows = self.connection.execute(sweeps.sweep(len(names)), binds)
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def _adopt(self) -> None:
        """Give the rows of foreign producers the columns that they keep in ``metadata``."""
        rows = self.connection.execute(sweeps.UNADOPTED_TASKS).all()
        if rows:
            self.connection.execute(
                sweeps.ADOPT,
                [{"task_id": row.id, **adopted_values(row.metadata)} for row in rows],
            )
            foreign.adopt(self, rows)

    def _due(
        self, level: Level, room: int, excluded: frozenset[str], handlers: dict[str, int]
    ) -> list[Task]:
        rows = self.connection.execute(
            statements.DUE,
            {
                "queue": level.queue,
                "at_priority": level.priority,
                "mark": level.mark,
                "excluded": sorted(excluded),
                "room": room,
            },
        )
        kept = []
        for row in rows:
            task = Task(*row)
            left = handlers.get(task.name)
            if left is None or left > 0:
                kept.append(task)
            if left:
                handlers[task.name] = left - 1
        return kept
