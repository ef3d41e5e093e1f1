"""The portable statements, in the order of a task's life.

A bind may not be named like a column of the table it writes, so each is named for its role.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import (
    Boolean,
    Delete,
    Insert,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.task import TaskState
from celers_worker.store import sql
from celers_worker.store.schema import (
    TASK_COLUMNS,
    archive,
    attempts,
    dead_letters,
    queues,
    tasks,
)
from celers_worker.store.types import Id, UtcDateTime

_ById = TypeVar("_ById", Select[Any], Update)

PENDING = sql.state(TaskState.PENDING)
PROCESSING = sql.state(TaskState.PROCESSING)


# --- enqueue ---

_NEW: dict[str, Any] = {
    "id": bindparam("new_id", type_=Id()),
    "task_name": bindparam("new_name"),
    "payload": bindparam("new_payload"),
    "state": PENDING,
    "priority": bindparam("new_priority"),
    "max_retries": bindparam("new_max_retries"),
    "created_at": sql.now(),
    "scheduled_at": func.coalesce(
        bindparam("new_at", type_=UtcDateTime()), sql.later(bindparam("new_delay"))
    ),
    "metadata": bindparam("new_metadata", type_=tasks.c.metadata.type),
    "queue_name": bindparam("new_queue"),
    "timeout": bindparam("new_timeout"),
    "expires_at": sql.later(bindparam("new_expires")),
    "unique_key": bindparam("new_unique_key"),
    "fingerprint": bindparam("new_fingerprint"),
}

INSERT_TASKS: Insert = insert(tasks).values(_NEW)
INSERT_TASKS_UNLESS_KNOWN: Insert = sql.insert_ignore(tasks).values(_NEW)

#: The same with nothing but binds, for MySQL's drivers: only so do they send many rows at once.
_PLAIN: dict[str, Any] = {
    **{name: value for name, value in _NEW.items() if name not in ("state", "created_at")},
    "state": bindparam("new_state"),
    "created_at": bindparam("new_created_at", type_=UtcDateTime()),
    "scheduled_at": bindparam("new_scheduled_at", type_=UtcDateTime()),
    "expires_at": bindparam("new_expires_at", type_=UtcDateTime()),
}
INSERT_ROWS: Insert = insert(tasks).values(_PLAIN)
INSERT_ROWS_UNLESS_KNOWN: Insert = sql.insert_ignore(tasks).values(_PLAIN)
NOW: Select[Any] = select(sql.now())

KNOWN_IDS = union_all(
    *(
        select(table.c.id).where(table.c.id.in_(bindparam("ids", expanding=True)))
        for table in (tasks, archive, dead_letters)
    )
)


# --- claim ---

_expired = func.coalesce(tasks.c.expires_at <= sql.now(), literal(False, Boolean))

#: What a claim hands out, in the order of the fields of core.task.Task.
CLAIMED: tuple[ColumnElement[Any], ...] = (
    tasks.c.id,
    tasks.c.lease,
    tasks.c.task_name,
    tasks.c.queue_name,
    tasks.c.payload,
    tasks.c.priority,
    tasks.c.retry_count,
    tasks.c.crash_count,
    tasks.c.max_retries,
    tasks.c.created_at,
    tasks.c.scheduled_at,
    tasks.c.started_at,
    tasks.c.timeout,
    _expired.label("expired"),
    tasks.c.metadata,
    tasks.c.workflow_id.is_not(None).label("in_workflow"),
)

#: The same before the update: the lease it will have, and now as the start.
_TO_CLAIM: tuple[ColumnElement[Any], ...] = tuple(
    {"lease": (tasks.c.lease + 1).label("lease"), "started_at": sql.now().label("started_at")}.get(
        column.name, column
    )
    for column in CLAIMED
)


def is_open(queue: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether nobody has paused *queue*."""
    paused = exists().where(queues.c.name == queue, queues.c.paused_at.is_not(None))
    # Else a *queue* that is a column of a lateral's outer side would be joined in here once more.
    return ~paused.correlate_except(queues)


def due(queue: Any, priority: Any, mark: Any) -> ColumnElement[bool]:
    """The due tasks of one level: a range of the index, from the low-water mark to now."""
    return and_(
        tasks.c.state == PENDING,
        tasks.c.queue_name == queue,
        tasks.c.priority == priority,
        tasks.c.scheduled_at >= mark,
        tasks.c.scheduled_at <= sql.now(),
    )


#: Left alone, MariaDB looks up the level and walks it from its beginning, over all that was claimed
#: and cannot be purged while somebody holds a snapshot: 25 ms for a claim instead of 1.4 ms after
#: 30,000 tasks. Told to use the index, it begins at the mark.
_FROM_THE_MARK = "FORCE INDEX (idx_tasks_state_queue)"

DUE: Select[Any] = (
    select(*_TO_CLAIM)
    .where(
        due(bindparam("queue"), bindparam("at_priority"), bindparam("mark", type_=UtcDateTime())),
        tasks.c.task_name.not_in(bindparam("excluded", expanding=True)),
        is_open(bindparam("queue")),
    )
    .order_by(tasks.c.scheduled_at, tasks.c.id)
    .limit(bindparam("room", type_=Integer))
    .with_for_update(skip_locked=True)
    .with_hint(tasks, _FROM_THE_MARK, "mysql")
    .with_hint(tasks, _FROM_THE_MARK, "mariadb")
)

#: Left alone, MariaDB reads a small table from end to end and waits for every row that another
#: worker has locked. ``mysql.DELETE_TASKS`` is about the same.
_ONLY_THOSE = "FORCE INDEX (PRIMARY)"


def by_ids(statement: _ById) -> _ById:
    """The *statement* for the tasks ``ids``, which looks at no other row."""
    return (
        statement.where(tasks.c.id.in_(bindparam("ids", expanding=True)))
        .with_hint(text=_ONLY_THOSE, selectable=tasks, dialect_name="mysql")
        .with_hint(text=_ONLY_THOSE, selectable=tasks, dialect_name="mariadb")
    )


_LEASED: dict[str, Any] = {
    "state": PROCESSING,
    "lease": tasks.c.lease + 1,
    "worker_id": bindparam("worker"),
    "started_at": sql.now(),
}

LEASE: Update = by_ids(update(tasks).values(_LEASED))


# --- settle ---

HELD: Select[Any] = by_ids(
    select(
        tasks.c.id,
        tasks.c.lease,
        tasks.c.cancel_requested_at,
        tasks.c.cancel_reason,
        tasks.c.workflow_id,
    )
    .order_by(tasks.c.id)
    .with_for_update()
)


def move(source: Any, target: Any, **changed: Any) -> Insert:
    """Copy a task's row from *source* to *target* with some columns *changed*."""
    extra = [name for name in changed if name not in TASK_COLUMNS]
    columns = [*TASK_COLUMNS, *extra]
    values = [changed[name] if name in changed else source.c[name] for name in columns]
    return insert(target).from_select(columns, select(*values), include_defaults=False)


def _moved_tasks(target: Any, **changed: Any) -> Insert:
    statement = move(tasks, target, **changed)
    statement.select = statement.select.where(  # type: ignore[union-attr]  # from_select set it
        tasks.c.id.in_(bindparam("ids", expanding=True))
    )
    return statement


def archive_as(state: TaskState) -> Insert:
    """Copy the tasks *ids* to the archive; ``message`` replaces their error message if given."""
    return _moved_tasks(
        archive,
        state=sql.state(state),
        completed_at=sql.now(),
        error_message=func.coalesce(
            bindparam("message", type_=tasks.c.error_message.type), tasks.c.error_message
        ),
    )


ARCHIVE: dict[TaskState, Insert] = {
    state: archive_as(state)
    for state in (TaskState.COMPLETED, TaskState.CANCELLED, TaskState.EXPIRED)
}
DELETE_TASKS: Delete = delete(tasks).where(tasks.c.id.in_(bindparam("ids", expanding=True)))

#: ``failed`` is 1 for a run that failed and ``crashed`` 1 for a run whose worker died.
BURY: Insert = _moved_tasks(
    dead_letters,
    state=sql.state(TaskState.FAILED),
    retry_count=tasks.c.retry_count + bindparam("failed", type_=Integer),
    crash_count=tasks.c.crash_count + bindparam("crashed", type_=Integer),
    completed_at=sql.now(),
    error_message=bindparam("message", type_=tasks.c.error_message.type),
    failed_at=sql.now(),
    reason=bindparam("why", type_=dead_letters.c.reason.type),
)

INSERT_ATTEMPT: Insert = sql.insert_ignore(attempts).values(
    task_id=bindparam("of_task", type_=Id()),
    lease=bindparam("with_lease"),
    attempt=bindparam("number"),
    worker_id=bindparam("worker"),
    started_at=bindparam("since", type_=UtcDateTime()),
    failed_at=sql.now(),
    error_type=bindparam("kind"),
    error_message=bindparam("message"),
    traceback=bindparam("trace"),
)

#: Out of processing the lease rises too: what the old run still writes finds nothing.
_GIVEN_BACK: dict[str, Any] = {
    "state": PENDING,
    "lease": tasks.c.lease + 1,
    "worker_id": null(),
    "started_at": null(),
}
_BY_ID = tasks.c.id == bindparam("task_id", type_=Id())

RETRY: Update = (
    update(tasks)
    .where(_BY_ID)
    .values(
        **_GIVEN_BACK,
        retry_count=tasks.c.retry_count + 1,
        scheduled_at=sql.later(bindparam("wait")),
        error_message=bindparam("message"),
    )
)
RELEASE: Update = (
    update(tasks)
    .where(_BY_ID)
    .values(
        **_GIVEN_BACK,
        scheduled_at=func.coalesce(sql.later(bindparam("wait")), tasks.c.scheduled_at),
        error_message=func.coalesce(
            bindparam("message", type_=tasks.c.error_message.type), tasks.c.error_message
        ),
    )
)
RELEASE_CRASHED: Update = (
    update(tasks)
    .where(_BY_ID)
    .values(
        **_GIVEN_BACK,
        crash_count=tasks.c.crash_count + 1,
        error_message=bindparam("message"),
    )
)
