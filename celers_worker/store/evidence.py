"""What the database says of the tasks of one queue, for who holds it against what others say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from celers_worker.core.payload import decode
from celers_worker.core.task import TaskState
from celers_worker.store.schema import archive, attempts, dead_letters, history, results, tasks
from celers_worker.store.transaction import Transaction

#: Longer than any run of ours, so that no worker makes partitions while it may be stopped.
_KEPT = timedelta(days=7)


class Change(NamedTuple):
    """A row of the audit trail."""

    task: UUID
    state: TaskState
    lease: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The trail in its order, and where each task is now."""

    changes: Sequence[Change]
    #: Of each task that is anywhere: state, retry_count, crash_count.
    now: Mapping[UUID, tuple[TaskState, int, int]]
    #: Tasks that are kept in more than one place.
    twice: Sequence[UUID]
    #: Of each (task, lease) that failed: the error's type.
    failures: Mapping[tuple[UUID, int], str]
    #: What the handler of each completed task has returned, where it is a number.
    answers: Mapping[UUID, int]


def recorded(transaction: Transaction, queue: str) -> Recorded:
    """Read everything, in one transaction. *queue* has an audit trail."""
    connection = transaction.connection
    trail = select(history.c.task_id, history.c.state, history.c.lease).order_by(history.c.id)
    now: dict[UUID, tuple[TaskState, int, int]] = {}
    twice: list[UUID] = []
    for table in (tasks, archive, dead_letters):
        columns = (table.c.id, table.c.state, table.c.retry_count, table.c.crash_count)
        for row in connection.execute(select(*columns).where(table.c.queue_name == queue)):
            if row[0] in now:
                twice.append(row[0])
            now[row[0]] = (TaskState(row[1]), row[2], row[3])
    failed = select(attempts.c.task_id, attempts.c.lease, attempts.c.error_type)
    return Recorded(
        changes=[
            Change(row[0], TaskState(row[1]), row[2])
            for row in connection.execute(trail.where(history.c.queue_name == queue))
        ],
        now=now,
        twice=twice,
        failures={(row[0], row[1]): row[2] for row in connection.execute(failed)},
        answers=_answers(connection.execute(select(results.c.task_id, results.c.result))),
    )


def live(transaction: Transaction) -> int:
    """How many tasks have not ended."""
    return int(transaction.connection.execute(select(func.count()).select_from(tasks)).scalar_one())


def make_room(transaction: Transaction) -> None:
    """Make what the upkeep of a worker would make, before there is one."""
    transaction.keep_partitions(_KEPT)


def _answers(rows: Any) -> dict[UUID, int]:
    decoded = ((task, decode(value)) for task, value in rows if value is not None)
    return {task: value for task, value in decoded if type(value) is int}
