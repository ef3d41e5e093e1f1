"""The facts behind ``celers explain``: about one task and all that may stand in its way."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select

from celers_worker.core.explanation import Before, Earlier, Facts, Held, Parent, Subject
from celers_worker.core.serving import Job, Server
from celers_worker.core.task import TaskState
from celers_worker.store import inspect, orders, running, sql, statements, survey
from celers_worker.store.inspect import TaskView
from celers_worker.store.schema import queues, task_edges, tasks, unique_windows, workflow_steps
from celers_worker.store.transaction import Transaction

#: So many tasks are counted before another, and so many of them listed.
_COUNTED, _LISTED = 10_000, 3


def facts_of(transaction: Transaction, task_id: UUID) -> Facts | None:
    """What there is to know of a task; None: there is no such task."""
    view = inspect.task(transaction, task_id)
    if view is None:
        return None
    now = transaction.connection.execute(statements.NOW).scalar_one()
    held = {one.name: one for one in orders.held(transaction)}
    mine = held.get(view.name)
    return Facts(
        task=_subject(view, now),
        queue_paused=_queue_pause(transaction, view.queue, now),
        handler_paused=None
        if mine is None or mine.paused_at is None
        else Held(_ago(mine.paused_at, now), mine.paused_reason),
        circuit=None
        if mine is None or mine.opened_at is None
        else Held(_ago(mine.opened_at, now), mine.opened_reason, mine.probe_in),
        servers=_servers(transaction),
        parents=_parents(transaction, task_id) if view.state is TaskState.BLOCKED else (),
        key_holder=_key_holder(transaction, view),
        before=_before(transaction, view, set(held), now)
        if view.state is TaskState.PENDING
        else Before(),
    )


def _subject(view: TaskView, now: datetime) -> Subject:
    def ago(instant: datetime | None) -> float | None:
        return None if instant is None else _ago(instant, now)

    return Subject(
        id=view.id,
        name=view.name,
        queue=view.queue,
        state=view.state,
        due_in=(view.scheduled_at - now).total_seconds(),
        attempt=view.attempt,
        max_retries=view.max_retries,
        expires_in=None if view.expires_at is None else -_ago(view.expires_at, now),
        started_ago=ago(view.started_at),
        ended_ago=ago(view.completed_at),
        worker=view.worker,
        error=view.error,
        reason=view.reason,
        cancel_requested=view.cancel_requested,
        unique_key=view.unique_key,
    )


def _queue_pause(transaction: Transaction, queue: str, now: datetime) -> Held | None:
    row = transaction.connection.execute(
        select(queues.c.paused_at, queues.c.paused_reason).where(
            queues.c.name == queue, queues.c.paused_at.is_not(None)
        )
    ).first()
    return None if row is None else Held(_ago(row.paused_at, now), row.paused_reason)


def _servers(transaction: Transaction) -> list[Server]:
    views = survey.list_workers(transaction)
    runs: defaultdict[str, list[Job]] = defaultdict(list)
    for task in running.tasks_at(transaction, [view.id for view in views]):
        runs[task.worker or ""].append(Job(task.id, task.name, task.queue))
    return [
        Server(
            id=view.id,
            name=view.name,
            state=view.state,
            queues=view.queues,
            handlers=view.handlers,
            concurrency=view.concurrency,
            limits=view.limits,
            lease_left=view.lease_left,
            runs=runs[view.id],
        )
        for view in views
    ]


def _parents(transaction: Transaction, task_id: UUID) -> list[Parent]:
    rows = transaction.connection.execute(
        select(task_edges.c.parent_id, workflow_steps.c.name, workflow_steps.c.state)
        .select_from(
            task_edges.outerjoin(
                workflow_steps,
                and_(
                    workflow_steps.c.workflow_id == task_edges.c.workflow_id,
                    workflow_steps.c.task_id == task_edges.c.parent_id,
                ),
            )
        )
        .where(task_edges.c.child_id == task_id)
        .order_by(task_edges.c.position)
    ).all()
    living = {
        row.id: row
        for row in transaction.connection.execute(
            select(tasks.c.id, tasks.c.task_name, tasks.c.state).where(
                tasks.c.id.in_([row.parent_id for row in rows])
            )
        )
    }
    return [
        Parent(
            row.parent_id,
            row.name or (living[row.parent_id].task_name if row.parent_id in living else ""),
            row.state or (living[row.parent_id].state if row.parent_id in living else None),
        )
        for row in rows
    ]


def _key_holder(transaction: Transaction, view: TaskView) -> UUID | None:
    """The task that keeps an ended one from coming back."""
    if view.unique_key is None:
        return None
    live = select(tasks.c.id).where(tasks.c.unique_key == view.unique_key, tasks.c.id != view.id)
    window = select(unique_windows.c.task_id).where(
        unique_windows.c.unique_key == view.unique_key,
        unique_windows.c.task_id != view.id,
        unique_windows.c.expires_at > sql.now(),
    )
    for query in (live, window):
        holder: UUID | None = transaction.connection.execute(query).scalar()
        if holder is not None:
            return holder
    return None


def _before(transaction: Transaction, view: TaskView, held: set[str], now: datetime) -> Before:
    """What is due in its queue and claimed first, without what is held; counted up to a bound."""
    t = tasks.c
    earlier = or_(
        t.scheduled_at < view.scheduled_at,
        and_(t.scheduled_at == view.scheduled_at, t.id < view.id),
    )
    query = (
        select(t.id, t.task_name, t.priority, t.scheduled_at)
        .where(
            t.state == statements.PENDING,
            t.queue_name == view.queue,
            t.scheduled_at <= sql.now(),
            or_(t.priority > view.priority, and_(t.priority == view.priority, earlier)),
            t.task_name.not_in(sorted(held)),
        )
        .order_by(t.priority.desc(), t.scheduled_at, t.id)
        .limit(_COUNTED + 1)
    )
    rows = transaction.connection.execute(query).all()
    first = [
        Earlier(row.id, row.task_name, row.priority, _ago(row.scheduled_at, now))
        for row in rows[:_LISTED]
    ]
    return Before(min(len(rows), _COUNTED), len(rows) > _COUNTED, first)


def _ago(instant: datetime, now: datetime) -> float:
    return (now - instant).total_seconds()
