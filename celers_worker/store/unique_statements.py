"""Statements about unique keys: who has one, its window, and what replaces a waiting task.

A bind may not be named like a column of the table it writes, so each is named for its role.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Delete,
    Double,
    Insert,
    Select,
    Update,
    bindparam,
    case,
    delete,
    func,
    null,
    select,
    update,
)

from celers_worker.core.uniqueness import SUPERSEDED
from celers_worker.store import sql
from celers_worker.store.schema import tasks, unique_windows
from celers_worker.store.statements import PENDING, PROCESSING
from celers_worker.store.types import Id, UtcDateTime

OWNERS: Select[Any] = select(tasks.c.unique_key, tasks.c.id, tasks.c.state).where(
    tasks.c.unique_key.in_(bindparam("keys", expanding=True))
)

# --- windows ---

_KEY = unique_windows.c.unique_key == bindparam("key")

ADD_WINDOW: Insert = sql.insert_ignore(unique_windows).values(
    unique_key=bindparam("of_key"),
    task_id=bindparam("of_task", type_=Id()),
    expires_at=sql.later(bindparam("window")),
)
#: A window that has ended goes to the next who asks; of several at once, to one.
TAKE_WINDOW: Update = (
    update(unique_windows)
    .where(_KEY, unique_windows.c.expires_at <= sql.now())
    .values(task_id=bindparam("of_task", type_=Id()), expires_at=sql.later(bindparam("window")))
)
WINDOWS: Select[Any] = select(unique_windows.c.unique_key, unique_windows.c.task_id).where(
    unique_windows.c.unique_key.in_(bindparam("keys", expanding=True)),
    unique_windows.c.expires_at > sql.now(),
)
FREE_WINDOWS: Delete = delete(unique_windows).where(
    unique_windows.c.unique_key.in_(bindparam("keys", expanding=True)),
    unique_windows.c.task_id.in_(bindparam("ids", expanding=True)),
)

# --- replacing ---

#: So long from now, or what is left of the longest time since the first enqueue.
_pause: BindParameter[float] = bindparam("pause", type_=Double())
_left: ColumnElement[float] = bindparam("longest", type_=Double()) - sql.seconds_since(
    tasks.c.created_at
)
_wait = case((_left < 0, sql.integer(0)), (_left < _pause, _left), else_=_pause)
_BECOMES: dict[str, Any] = {
    "task_name": bindparam("new_name"),
    "payload": bindparam("new_payload"),
    "priority": bindparam("new_priority"),
    "max_retries": bindparam("new_max_retries"),
    "metadata": bindparam("new_metadata", type_=tasks.c.metadata.type),
    "queue_name": bindparam("new_queue"),
    "timeout": bindparam("new_timeout"),
    "expires_at": sql.later(bindparam("new_expires")),
    "fingerprint": bindparam("new_fingerprint"),
    # A new life: what failed before were other arguments.
    "retry_count": sql.integer(0),
    "crash_count": sql.integer(0),
    "error_message": null(),
    "lease": tasks.c.lease + 1,
}
_WAITING_OWNER = (
    tasks.c.id == bindparam("owner", type_=Id()),
    tasks.c.unique_key == bindparam("key"),
    tasks.c.state == PENDING,
)
#: Only a task that waits: one that is claimed meanwhile no longer matches.
REPLACE: Update = (
    update(tasks)
    .where(*_WAITING_OWNER)
    .values(
        **_BECOMES,
        scheduled_at=func.coalesce(
            bindparam("new_at", type_=UtcDateTime()), sql.later(bindparam("new_delay"))
        ),
    )
)
DEBOUNCE: Update = (
    update(tasks).where(*_WAITING_OWNER).values(**_BECOMES, scheduled_at=sql.later(_wait))
)
#: The run goes on without the key. If it fails it is not repeated: its arguments are out of date.
SUPERSEDE: Update = (
    update(tasks)
    .where(
        tasks.c.id == bindparam("owner", type_=Id()),
        tasks.c.unique_key == bindparam("key"),
        tasks.c.state == PROCESSING,
    )
    .values(unique_key=null(), cancel_reason=func.coalesce(tasks.c.cancel_reason, SUPERSEDED))
)
