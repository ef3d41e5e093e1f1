"""Statements about results: what is kept of a task that ended, and who waits for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Insert, Select, bindparam, delete, or_, select

from celers_worker.store import sql
from celers_worker.store.schema import archive, attempts, dead_letters, results, tasks
from celers_worker.store.types import Id

FORGET_RESULTS: Delete = delete(results).where(
    results.c.task_id.in_(bindparam("ids", expanding=True))
)
#: A row that is there already is of an earlier life of the task.
INSERT_RESULT: Insert = sql.insert_or_replace(results).values(
    task_id=bindparam("of_task", type_=Id()),
    result=bindparam("value"),
    created_at=sql.now(),
    state=bindparam("ended_as"),
    task_name=bindparam("of_name"),
    codec=bindparam("coded"),
    runtime=bindparam("seconds"),
    error_type=bindparam("kind"),
    error_message=bindparam("message"),
    error_data=bindparam("data"),
    traceback=bindparam("trace"),
    expires_at=sql.later(bindparam("keep")),
)

_IDS: Any = bindparam("ids", expanding=True)

#: What is asked again and again of tasks that have not ended.
LIVE_STATES: Select[Any] = select(
    tasks.c.id, tasks.c.task_name, tasks.c.state, tasks.c.error_message
).where(tasks.c.id.in_(_IDS))


def _ended(table: Any) -> Select[Any]:
    names = ("id", "task_name", "state", "error_message", "started_at", "completed_at")
    return select(*(table.c[name] for name in names)).where(table.c.id.in_(_IDS))


ARCHIVED_ENDINGS: Select[Any] = _ended(archive)
DEAD_ENDINGS: Select[Any] = _ended(dead_letters)
RESULTS: Select[Any] = select(results).where(
    results.c.task_id.in_(_IDS),
    or_(results.c.expires_at.is_(None), results.c.expires_at > sql.now()),
)
#: The last failed attempt comes last.
FAILED_ATTEMPTS: Select[Any] = (
    select(
        attempts.c.task_id,
        attempts.c.error_type,
        attempts.c.error_message,
        attempts.c.traceback,
    )
    .where(attempts.c.task_id.in_(_IDS))
    .order_by(attempts.c.task_id, attempts.c.lease)
)
