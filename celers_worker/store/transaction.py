"""A transaction: what Celers does to tasks inside one database transaction, portable by default.

Written once, synchronously, over a SQLAlchemy Connection. The asynchronous store runs it in
SQLAlchemy's greenlet, the synchronous one and SQLite's writer thread call it directly, and an
application passes the connection of its own transaction. A database that wants another sequence of
statements overrides a method.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Connection

from celers_worker.core.errors import Unavailable
from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Failure,
    Outcome,
    Release,
    Retry,
    Settlement,
)
from celers_worker.core.task import Demand, Enqueued, NewTask, Task, TaskState
from celers_worker.store import statements, sweeps
from celers_worker.store.levels import Level, Levels
from celers_worker.store.values import adopted_values, chunks, new_values


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A run that failed, or whose worker died with it."""

    task_id: UUID
    lease: int
    number: int
    worker: str | None
    started_at: datetime | None
    failure: Failure


class Transaction:
    """The life of a task in one transaction of *connection*, which the caller commits."""

    #: What the statements count on; None where the database has nothing else.
    isolation: ClassVar[str | None] = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def join(self) -> None:
        """Make a transaction that another's engine began like one of ours; most are."""

    # --- in the order of a task's life ---

    def enqueue(self, tasks: Sequence[NewTask], *, repeated: bool = False) -> list[Enqueued]:
        """Add *tasks*; one whose unique key a live task has is left out, and that task named.

        *repeated*: an earlier try may have succeeded, so those whose ids exist are left out.
        """
        known = self._known(task.id for task in tasks) if repeated else frozenset()
        fresh = [task for task in tasks if task.id not in known]
        plain = [task for task in fresh if task.unique_key is None]
        keyed = [task for task in fresh if task.unique_key is not None]
        for chunk in chunks(plain):
            self.insert(chunk, unless_known=repeated)
        found = self._enqueue_unique(keyed) if keyed else {}
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

    def settle(
        self, worker: str, settlements: Sequence[Settlement], *, keep_completed: bool = True
    ) -> set[UUID]:
        """Write outcomes of leases still held, and return their ids; the others change nothing.

        *keep_completed*: False deletes completed tasks instead of archiving them. A result is kept.
        """
        held = {
            row.id: row
            for chunk in chunks(settlements)
            for row in self.connection.execute(
                statements.HELD, {"ids": [settlement.task.id for settlement in chunk]}
            )
        }
        by_kind: defaultdict[type, list[tuple[Task, Any]]] = defaultdict(list)
        settled = set()
        for settlement in settlements:
            row = held.get(settlement.task.id)
            if row is not None and row.lease == settlement.task.lease:
                outcome = _unless_cancelled(settlement.outcome, row)
                by_kind[type(outcome)].append((settlement.task, outcome))
                settled.add(settlement.task.id)
        self._complete(by_kind[Completed], keep=keep_completed)
        self._cancel(by_kind[Cancelled])
        self._archive([task.id for task, _ in by_kind[Expired]], TaskState.EXPIRED)
        self._retry(by_kind[Retry])
        self._release(by_kind[Release])
        self.record_attempts(
            [
                FailedAttempt(
                    task.id, task.lease, task.attempt, worker, task.started_at, outcome.failure
                )
                for task, outcome in (*by_kind[Retry], *by_kind[Dead])
            ]
        )
        for task, outcome in by_kind[Dead]:
            message = str(outcome.failure)
            self.bury([task.id], reason=outcome.reason, message=message, failed=1)
        return settled

    def keep_partitions(self, retention: timedelta) -> None:
        """Make and drop partitions of the archive; only PostgreSQL has them."""

    # --- the parts that maintenance and control use too ---

    def bury(
        self, ids: Sequence[UUID], *, reason: str, message: str, failed: int = 0, crashed: int = 0
    ) -> None:
        """Move tasks to the dead letter queue; the caller has locked their rows."""
        values = {"message": message, "why": reason[:255], "failed": failed, "crashed": crashed}
        self.connection.execute(statements.BURY, {"ids": list(ids), **values})
        self.connection.execute(statements.DELETE_TASKS, {"ids": list(ids)})

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
        """Move tasks to the archive as cancelled; the caller has locked their rows."""
        self._archive(ids, TaskState.CANCELLED, reason)

    # --- inside ---

    def _known(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        return frozenset(
            row.id
            for chunk in chunks(list(ids))
            for row in self.connection.execute(statements.KNOWN_IDS, {"ids": chunk})
        )

    def _enqueue_unique(self, tasks: Sequence[NewTask]) -> dict[UUID, Enqueued]:
        """Insert each task, or find the live one that has its key.

        That one can end between our two statements; then there is room again. Every round means
        that a task with one of the keys ended, so a limit is only there against the unthinkable.
        """
        found: dict[UUID, Enqueued] = {}
        # In one order everywhere, so that two producers with the same keys cannot deadlock.
        missing = sorted(tasks, key=lambda task: task.unique_key or "")
        for _ in range(100):
            for chunk in chunks(missing):
                self.insert(chunk, unless_known=True)
            keys = list({task.unique_key for task in missing})
            owners = {
                row.unique_key: row.id
                for chunk in chunks(keys)
                for row in self.connection.execute(statements.IDS_OF_UNIQUE_KEYS, {"keys": chunk})
            }
            for task in missing:
                owner = owners.get(task.unique_key)
                if owner is not None:
                    found[task.id] = Enqueued(owner, existing=owner != task.id)
            missing = [task for task in missing if task.id not in found]
            if not missing:
                return found
        raise Unavailable(f"the unique key {missing[0].unique_key!r} changed hands 100 times.")

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

    def _complete(self, group: Sequence[tuple[Task, Completed]], *, keep: bool) -> None:
        values = [
            {"of_task": task.id, "value": outcome.result}
            for task, outcome in group
            if outcome.result is not None
        ]
        if values:
            self.connection.execute(statements.INSERT_RESULT, values)
        ids = [task.id for task, _ in group]
        if keep:
            self._archive(ids, TaskState.COMPLETED)
        else:
            for chunk in chunks(ids):
                self.connection.execute(statements.DELETE_TASKS, {"ids": chunk})

    def _cancel(self, group: Sequence[tuple[Task, Cancelled]]) -> None:
        by_reason: defaultdict[str, list[UUID]] = defaultdict(list)
        for task, outcome in group:
            by_reason[outcome.reason].append(task.id)
        for reason, ids in by_reason.items():
            self._archive(ids, TaskState.CANCELLED, reason)

    def _retry(self, group: Sequence[tuple[Task, Retry]]) -> None:
        if group:
            self.connection.execute(
                statements.RETRY,
                [
                    {
                        "task_id": task.id,
                        "wait": outcome.delay.total_seconds(),
                        "message": str(outcome.failure),
                    }
                    for task, outcome in group
                ],
            )

    def _release(self, group: Sequence[tuple[Task, Release]]) -> None:
        if group:
            self.connection.execute(
                statements.RELEASE,
                [
                    {
                        "task_id": task.id,
                        "wait": None if outcome.delay is None else outcome.delay.total_seconds(),
                        "message": outcome.reason,
                    }
                    for task, outcome in group
                ],
            )

    def _archive(self, ids: Sequence[UUID], state: TaskState, message: str | None = None) -> None:
        for chunk in chunks(ids):
            self.connection.execute(statements.ARCHIVE[state], {"ids": chunk, "message": message})
            self.connection.execute(statements.DELETE_TASKS, {"ids": chunk})


def _unless_cancelled(outcome: Outcome, row: Any) -> Outcome:
    """A task that was to be cancelled while it ran does not go back to be run again."""
    if row.cancel_requested_at is not None and isinstance(outcome, (Retry, Release)):
        return Cancelled(row.cancel_reason or "cancelled")
    return outcome
