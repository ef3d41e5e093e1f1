"""The statements about leases: workers' rows, and the tasks of workers that are gone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Delete,
    Double,
    Insert,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from celers_worker.store import sql
from celers_worker.store.schema import handlers, tasks, workers
from celers_worker.store.statements import PROCESSING

REGISTER_WORKER: Insert = insert(workers).values(
    id=bindparam("worker"),
    name=bindparam("label"),
    host=bindparam("on_host"),
    pid=bindparam("process"),
    version=bindparam("of_version"),
    queues=bindparam("serves", type_=workers.c.queues.type),
    handlers=bindparam("knows", type_=workers.c.handlers.type),
    concurrency=bindparam("permits"),
    limits=bindparam("limited", type_=workers.c.limits.type),
    state=bindparam("in_state"),
    suspect_lease=bindparam("begun", type_=workers.c.suspect_lease.type),
    wanted_state=bindparam("told_state", type_=workers.c.wanted_state.type),
    wanted_concurrency=bindparam("told_concurrency", type_=Integer),
    wanted_by=bindparam("told_by", type_=workers.c.wanted_by.type),
    started_at=sql.now(),
    heartbeat_at=sql.now(),
    expires_at=sql.later(bindparam("lease_seconds")),
)
#: A lease that ran out is never renewed: its tasks may be somebody else's already.
RENEW_WORKER: Update = (
    update(workers)
    .where(workers.c.id == bindparam("worker"), workers.c.expires_at > sql.now())
    .values(
        heartbeat_at=sql.now(),
        expires_at=sql.later(bindparam("lease_seconds")),
        running=func.coalesce(bindparam("runs", type_=Integer), workers.c.running),
        state=func.coalesce(bindparam("in_state", type_=workers.c.state.type), workers.c.state),
    )
)
_held = or_(handlers.c.paused_at.is_not(None), handlers.c.opened_at.is_not(None))
_holds = (
    handlers.c.name.label("handler"),
    handlers.c.paused_at.is_not(None).label("paused"),
    handlers.c.opened_at.is_not(None).label("open"),
    (-sql.seconds_since(handlers.c.probe_at)).label("probe_in"),
)
_wanted = (workers.c.wanted_state, workers.c.wanted_concurrency, workers.c.wanted_by)
#: What a worker is asked for, and the handlers that are held: a row for each, or one without.
ORDERS: Select[Any] = (
    select(*_wanted, *_holds)
    .select_from(workers.outerjoin(handlers, _held))
    .where(workers.c.id == bindparam("worker"))
)
_renewed = RENEW_WORKER.returning(*_wanted).cte("renewed")
#: Both in one statement, for PostgreSQL. No row: the lease had run out.
RENEW_AND_READ: Select[Any] = select(*_renewed.c, *_holds).select_from(
    _renewed.outerjoin(handlers, _held)
)
#: What a worker says of itself once an order has changed it.
PUBLISH_LIMITS: Update = (
    update(workers)
    .where(workers.c.id == bindparam("worker"))
    .values(
        concurrency=bindparam("permits"),
        limits=bindparam("limited", type_=workers.c.limits.type),
    )
)
#: By whom its lease lives. What it begins after that may be its end.
MARK_SUSPECT: Update = (
    update(workers)
    .where(workers.c.id == bindparam("worker"), workers.c.expires_at > sql.now())
    .values(
        suspect_id=bindparam("task_id", type_=workers.c.suspect_id.type),
        suspect_lease=bindparam("begun", type_=workers.c.suspect_lease.type),
    )
)
DEREGISTER_WORKER: Delete = delete(workers).where(workers.c.id == bindparam("worker"))

LEASES: Select[Any] = select(
    tasks.c.id, tasks.c.lease, tasks.c.cancel_requested_at, tasks.c.cancel_reason
).where(tasks.c.id.in_(bindparam("ids", expanding=True)))

TASKS_OF_WORKER: Select[Any] = (
    select(tasks.c.id)
    .where(tasks.c.state == PROCESSING, tasks.c.worker_id == bindparam("worker"))
    .with_for_update(skip_locked=True)
)

LOST_WORKERS: Select[Any] = select(workers.c.id).where(
    workers.c.expires_at <= sql.now(), workers.c.state != "lost"
)
#: Without those who froze in the middle of a heartbeat: they hold their rows.
LOST_WORKERS_LET_GO: Select[Any] = LOST_WORKERS.where(
    workers.c.id.in_(bindparam("lost", expanding=True))
).with_for_update(skip_locked=True)
MARK_LOST: Update = (
    update(workers)
    .where(workers.c.id == bindparam("worker"), workers.c.expires_at <= sql.now())
    .values(state="lost", running=0)
)
#: Of a worker whose end somebody has seen: nobody need wait for its lease to run out.
NOTE_END: Update = (
    update(workers)
    .where(workers.c.id == bindparam("worker"))
    .values(
        ended_by=bindparam("how", type_=workers.c.ended_by.type),
        expires_at=case((workers.c.expires_at > sql.now(), sql.now()), else_=workers.c.expires_at),
    )
)
ENDS: Select[Any] = select(
    workers.c.id, workers.c.ended_by, workers.c.suspect_id, workers.c.suspect_lease
).where(workers.c.id.in_(bindparam("gone", expanding=True)))

_alive = exists().where(workers.c.id == tasks.c.worker_id, workers.c.expires_at > sql.now())
_ORPHANED = [
    tasks.c.id,
    tasks.c.lease,
    tasks.c.retry_count,
    tasks.c.crash_count,
    tasks.c.max_retries,
    tasks.c.worker_id,
    tasks.c.started_at,
    tasks.c.cancel_requested_at,
    tasks.c.cancel_reason,
]
#: Tasks of these lost workers. That no live worker row stands behind them is part of the statement.
ORPHANS_OF: Select[Any] = (
    select(*_ORPHANED)
    .where(
        tasks.c.state == PROCESSING,
        tasks.c.worker_id.in_(bindparam("lost", expanding=True)),
        ~_alive,
    )
    .limit(bindparam("room", type_=Integer))
    .with_for_update(skip_locked=True)
)
_since = func.coalesce(tasks.c.started_at, tasks.c.created_at)
_IS_ORPHAN = (
    tasks.c.state == PROCESSING,
    or_(
        and_(tasks.c.worker_id.is_not(None), ~_alive),
        and_(tasks.c.worker_id.is_(None), _since < sql.later(bindparam("stuck", type_=Double))),
    ),
)
COUNT_ORPHANS: Select[Any] = select(func.count()).select_from(tasks).where(*_IS_ORPHAN)
#: Tasks whose worker's row is gone altogether, or that a foreign worker took so long ago.
ORPHANS: Select[Any] = (
    select(*_ORPHANED)
    .where(*_IS_ORPHAN)
    .limit(bindparam("room", type_=Integer))
    .with_for_update(skip_locked=True)
)
