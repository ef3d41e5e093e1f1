"""Rows by the hundred thousand around those a test or a benchmark looks at, made by the server."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    String,
    Table,
    bindparam,
    cast,
    insert,
    literal,
    select,
    true,
)

from celers_worker.core.task import DEFAULT_QUEUE, TaskState
from celers_worker.store import StoreOptions, make_direct_store, sql
from celers_worker.store.schema import archive, tasks
from celers_worker.store.transaction import Transaction
from celers_worker.store.types import Id

#: Rows of one statement, and how deep its recursion goes, which every server's default allows.
_CHUNK, _DEEP = 100_000, 1_000
_PATIENT = StoreOptions(call_timeout=timedelta(minutes=5))
_TOMORROW = sql.later(sql.integer(86_400))


def schedule_for_tomorrow(
    url: str, count: int, *, queue: str = DEFAULT_QUEUE, priority: int = 0
) -> None:
    """Add *count* tasks that nobody may claim before tomorrow."""
    _fill(url, tasks, count, queue, priority=sql.integer(priority), scheduled_at=_TOMORROW)


def fill_archive(url: str, count: int, *, queue: str = DEFAULT_QUEUE) -> None:
    """Add *count* tasks that completed just now, where a worker would have put them."""
    with make_direct_store(url) as direct:
        direct.run(lambda transaction: transaction.keep_partitions(timedelta(days=7)))
    _fill(
        url,
        archive,
        count,
        queue,
        state=sql.state(TaskState.COMPLETED),
        started_at=sql.now(),
        completed_at=sql.now(),
    )


def _fill(url: str, table: Table, count: int, queue: str, **values: ColumnElement[Any]) -> None:
    statement = _insert(table, queue, values)
    with make_direct_store(url, _PATIENT) as direct:
        for start in range(0, count, _CHUNK):
            rows = min(_CHUNK, count - start)
            direct.run(_execute, statement, {"start": start, "rows": rows})


def _execute(transaction: Transaction, statement: Insert, binds: dict[str, int]) -> None:
    transaction.connection.execute(statement, binds)


def _insert(table: Table, queue: str, values: dict[str, ColumnElement[Any]]) -> Insert:
    """Insert ``rows`` rows with the numbers from ``start`` on; both are binds."""
    low = select(sql.integer(0).label("number")).cte("low", recursive=True)
    low = low.union_all(select(low.c.number + 1).where(low.c.number < _DEEP - 1))
    high = low.alias("high")
    number = high.c.number * _DEEP + low.c.number
    # The decimal digits of a number, twelve of them, are the last group of a UUID as well.
    digits = cast(bindparam("start", type_=BigInteger) + number + sql.integer(10**11), String(12))
    columns: dict[str, ColumnElement[Any]] = {
        "id": cast(literal(f"{uuid4().hex[:8]}-0000-7000-8000-") + digits, Id()),
        "task_name": literal("nothing"),
        "payload": literal(b'{"number":1}'),
        "created_at": sql.now(),
        "scheduled_at": sql.now(),
        "queue_name": literal(queue),
        **values,
    }
    rows = (
        select(*columns.values())
        .select_from(high.join(low, true()))
        .where(number < bindparam("rows", type_=Integer))
    )
    return insert(table).from_select(list(columns), rows, include_defaults=False)
