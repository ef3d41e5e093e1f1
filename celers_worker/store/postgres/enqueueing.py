"""PostgreSQL's enqueue: any number of tasks, and what tells the workers, in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    Double,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.task import NewTask
from celers_worker.store import sql, statements
from celers_worker.store.postgres.rows import INSTANT, rows
from celers_worker.store.schema import tasks
from celers_worker.store.types import in_utc

_COLUMNS: dict[str, tuple[str, Any]] = {
    "id": ("ids", Uuid()),
    "task_name": ("names", Text()),
    "payload": ("payloads", LargeBinary()),
    "priority": ("priorities", Integer()),
    "max_retries": ("budgets", Integer()),
    "at": ("instants", INSTANT),
    "delay": ("delays", Double()),
    "metadata": ("documents", Text()),
    "queue_name": ("queues", Text()),
    "timeout": ("timeouts", Double()),
    "expires": ("lifetimes", Double()),
    "fingerprint": ("fingerprints", Text()),
}
#: The first key of the lock that a notification takes; the second is its queue.
_ANNOUNCING = 0x63656C65


def _enqueue(new: Mapping[str, ColumnElement[Any]]) -> Any:
    """Add *new* tasks, and announce queues.

    A NOTIFY makes commits wait for each other, so only one of those who commit a task of a queue
    at the same time sends one; a listener looks again a little later for the tasks of the others.
    """
    added = (
        insert(tasks)
        .from_select(
            [
                "id",
                "task_name",
                "payload",
                "state",
                "priority",
                "max_retries",
                "created_at",
                "scheduled_at",
                "metadata",
                "queue_name",
                "timeout",
                "expires_at",
                "fingerprint",
            ],
            select(
                new["id"],
                new["task_name"],
                new["payload"],
                statements.PENDING,
                new["priority"],
                new["max_retries"],
                sql.now(),
                func.coalesce(new["at"], sql.later(new["delay"])),
                cast(new["metadata"], JSONB),
                new["queue_name"],
                new["timeout"],
                sql.later(new["expires"]),
                new["fingerprint"],
            ),
            include_defaults=False,
        )
        .cte("added")
    )
    announced = (
        func.unnest(bindparam("announced", type_=ARRAY(Text)))
        .table_valued("queue_name")
        .render_derived(name="announced")
    )
    nobody_else = func.pg_try_advisory_xact_lock(
        sql.integer(_ANNOUNCING), func.hashtext(announced.c.queue_name)
    )
    return (
        select(func.pg_notify(bindparam("channel", type_=Text()), announced.c.queue_name))
        .where(nobody_else)
        .add_cte(added)
    )


def enqueue(differing: Set[str]) -> Any:
    """Add tasks that differ in the binds *differing*: those are arrays, the others single values.

    For each element of an array asyncpg asks twice whether it is an array again, which takes longer
    than to write it; tasks that are enqueued together mostly have all but id and payload in common.
    """
    single = {name: bindparam(bind, type_=kind) for name, (bind, kind) in _COLUMNS.items()}
    arrays = {name: each for name, each in _COLUMNS.items() if each[0] in differing}
    return _enqueue({**single, **rows("new", **arrays).c} if arrays else single)


def new_values(task: NewTask) -> dict[str, Any]:
    """The values of ``enqueue`` for one task, which differs from no other."""
    return {
        "ids": task.id,
        "names": task.name,
        "payloads": task.payload,
        "priorities": task.priority,
        "budgets": task.max_retries,
        "instants": None if task.at is None else in_utc(task.at),
        "delays": task.delay.total_seconds(),
        "documents": _document(task),
        "queues": task.queue,
        "timeouts": _seconds(task.timeout),
        "lifetimes": _seconds(task.expires),
        "fingerprints": task.fingerprint,
    }


def values_of_many(new: Sequence[NewTask]) -> tuple[frozenset[str], dict[str, Any]]:
    """In which binds of ``enqueue`` *new* tasks differ, and its values."""
    # Not made of new_values, which takes five times as long: there are a thousand of them.
    values: dict[str, Any] = {
        "names": [task.name for task in new],
        "priorities": [task.priority for task in new],
        "budgets": [task.max_retries for task in new],
        "instants": [None if task.at is None else in_utc(task.at) for task in new],
        "delays": [task.delay.total_seconds() for task in new],
        "documents": [_document(task) for task in new],
        "queues": [task.queue for task in new],
        "timeouts": [_seconds(task.timeout) for task in new],
        "lifetimes": [_seconds(task.expires) for task in new],
        "fingerprints": [task.fingerprint for task in new],
    }
    differing = {"ids", "payloads"}
    for bind, column in values.items():
        if column.count(column[0]) == len(column):
            values[bind] = column[0]
        else:
            differing.add(bind)
    values["ids"] = [task.id for task in new]
    values["payloads"] = [task.payload for task in new]
    return frozenset(differing), values


def _document(task: NewTask) -> str | None:
    return None if task.metadata is None else msgspec.json.encode(task.metadata).decode()


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()
