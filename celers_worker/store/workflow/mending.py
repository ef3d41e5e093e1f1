"""Mending: nothing hangs, whatever was lost.

Every step that has not ended is live, or something is known of its end, or it is given up; every
blocked step with no living parent is decided; every workflow with no open step ends; every one past
its deadline is stopped. Each function is one transaction, and does a bounded amount of work.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select

from celers_worker.core.duration import format_duration
from celers_worker.core.task import TaskState
from celers_worker.store.schema import archive, dead_letters, results
from celers_worker.store.values import chunks
from celers_worker.store.workflow import mending_statements, progress, stopping
from celers_worker.store.workflow.progress import Ended

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction

#: A running workflow is looked at this often, in seconds, by one of all workers.
INTERVAL = 5.0
#: Producers of other systems may add a task before those it waits for; they have so many seconds.
GRACE = 60.0
_UNKNOWN = "nothing is known of it: it was never added, or its row was deleted"


@dataclass(frozen=True, slots=True)
class Mended:
    """Workflows that were stopped at their deadline, and how many others were looked at."""

    timed_out: Sequence[UUID]
    checked: int


def reconcile(
    transaction: Transaction, *, limit: int = 50, interval: float = INTERVAL, grace: float = GRACE
) -> Mended:
    """Stop up to *limit* overdue workflows, and mend as many that were not looked at for long."""
    execute = transaction.connection.execute
    overdue = list(execute(mending_statements.OVERDUE, {"room": limit}).scalars())
    for workflow in progress.lock_workflows(transaction, overdue).values():
        span = "" if workflow.timeout is None else f" of {_span(workflow.timeout)}"
        stopping.stop(transaction, workflow, error=f"it ran longer than its timeout{span}")
    rows = execute(
        mending_statements.UNCHECKED, {"room": limit, "before": -interval, "grace": -grace}
    ).all()
    for row in rows:
        mend(transaction, row.id, is_old=row.is_old)
    if rows:
        execute(mending_statements.CHECKED, {"ids": [row.id for row in rows]})
    return Mended(overdue, len(rows))


def mend(transaction: Transaction, workflow_id: UUID, *, is_old: bool = False) -> None:
    """Bring what is noted of a workflow in line with its tasks, and go on from there.

    *is_old*: what nobody knows of will not come any more.
    """
    locked = progress.lock_workflows(transaction, [workflow_id])
    rows = transaction.connection.execute(
        mending_statements.NOT_MOVING, {"workflow": workflow_id}
    ).all()
    missing = [row.task_id for row in rows if row.state is None]
    ended = _endings(transaction, missing)
    if is_old:
        ended |= {
            task_id: Ended(TaskState.FAILED, _UNKNOWN)
            for task_id in missing
            if task_id not in ended
        }
    blocked = [row.task_id for row in rows if row.state is not None]
    progress.move_on(transaction, ended, blocked=blocked, workflows=locked)


def free_stranded(transaction: Transaction, *, limit: int = 500) -> int:
    """Cancel blocked tasks that no workflow knows: nothing would ever unblock them."""
    ids = list(
        transaction.connection.execute(mending_statements.STRANDED, {"room": limit}).scalars()
    )
    if ids:
        transaction.archive_cancelled(ids, "it is blocked, and nothing is known of its workflow")
    return len(ids)


def _endings(transaction: Transaction, task_ids: Collection[UUID]) -> dict[UUID, Ended]:
    """How tasks ended that are not live: by the archive, the dead letters, and their results."""
    found: dict[UUID, Ended] = {}
    for table in (archive, dead_letters):
        for chunk in chunks(list(task_ids)):
            rows = transaction.connection.execute(
                select(table.c.id, table.c.state, table.c.error_message).where(
                    table.c.id.in_(chunk)
                )
            )
            for row in rows:
                state = TaskState(row.state)
                completed = state is TaskState.COMPLETED
                found[row.id] = Ended(state, None if completed else row.error_message)
    for chunk in chunks([task_id for task_id in task_ids if task_id not in found]):
        kept = select(results.c.task_id).where(results.c.task_id.in_(chunk))
        for task_id in transaction.connection.execute(kept).scalars():
            found[task_id] = Ended(TaskState.COMPLETED)
    return found


def _span(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))
