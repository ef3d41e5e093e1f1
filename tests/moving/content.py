"""A database with something of everything, and what is in one, to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from celers_worker.core.task import new_id
from celers_worker.store.direct import DirectStore
from celers_worker.store.moving.parts import PARTS
from celers_worker.store.schema import (
    archive,
    attempts,
    dead_letters,
    queues,
    results,
    tasks,
)
from celers_worker.store.transaction import Transaction

LONG_AGO = datetime(2026, 1, 31, 8, 0, 0, 123456, tzinfo=UTC)
TRACEBACK = 'Traceback (most recent call last):\n  "ä€𝄞"\nValueError: \\0 and \t'

#: Bytes that must come back as they were, whatever they look like.
PAYLOADS: Sequence[bytes] = (
    b'{"to":"ada","n":1}',
    b'{ "spaces" : [1.0, 1e5, 123456789012345678901234567890], "a": 1, "a": 2 }',
    '{"unicode":"ä€𝄞","escaped":"\\u00e4"}'.encode(),
    b'{"lone":"\\ud800"}',
    b"{}\n",
    b"",
    b"\x00\xff\xfe not JSON",
    b"[" * 5_000 + b"]" * 5_000,
    b'{"two":\n"lines"}',
    b"null",
)


def task(**changes: Any) -> dict[str, Any]:
    """The row of a task, with every column."""
    row: dict[str, Any] = {column.name: None for column in tasks.c}
    return (
        row
        | {
            "id": new_id(),
            "task_name": "send",
            "payload": b'{"to":"ada"}',
            "state": "pending",
            "priority": 0,
            "retry_count": 0,
            "max_retries": 3,
            "created_at": LONG_AGO,
            "scheduled_at": LONG_AGO,
            "queue_name": "default",
            "lease": 0,
            "crash_count": 0,
            "waits_for": 0,
        }
        | changes
    )


def ended(state: str, **changes: Any) -> dict[str, Any]:
    """The row of a task that has ended."""
    return task(
        state=state,
        lease=2,
        started_at=LONG_AGO,
        completed_at=LONG_AGO + timedelta(seconds=5),
        worker_id="worker-1",
        **changes,
    )


def dead(**changes: Any) -> dict[str, Any]:
    """The row of a dead task."""
    row = ended("failed", retry_count=3, error_message="ValueError: no such user")
    return row | {"failed_at": LONG_AGO, "reason": "gave up"} | changes


def running(**changes: Any) -> dict[str, Any]:
    """The row of a task that a worker runs."""
    return task(state="processing", lease=4, worker_id="worker-1", started_at=LONG_AGO) | changes


def fill(direct: DirectStore, *, each: int = 1) -> dict[str, list[dict[str, Any]]]:
    """Write something of everything, and return the rows by part."""
    rows: dict[str, list[dict[str, Any]]] = {
        "tasks": [task(payload=payload) for payload in PAYLOADS],
        "archive": [],
        "dead": [],
        "results": [],
        "attempts": [],
        "queues": [{"name": "paused", "paused_at": LONG_AGO, "paused_reason": "a deploy"}],
    }
    for number in range(each):
        parent = task(queue_name="flow", workflow_id=new_id())
        completed = ended("completed", metadata={"trace": ["a", 1, None, {"ä": 1.5}]})
        failed = dead(queue_name="emails")
        rows["tasks"] += [
            parent,
            task(state="blocked", waits_for=1, queue_name="flow", group_id="g"),
            task(
                unique_key=f"welcome:{number}",
                fingerprint="f",
                priority=-5,
                timeout=1.5,
                expires_at=LONG_AGO + timedelta(days=3650),
                scheduled_at=LONG_AGO + timedelta(days=3650),
                error_message="a retry: ValueError",
                retry_count=1,
            ),
            task(queue_name="", metadata={"queue": "foreign"}),
        ]
        rows["archive"] += [
            completed,
            ended("cancelled", cancel_reason="purged", error_message="purged"),
            ended("expired", queue_name="emails"),
        ]
        rows["dead"].append(failed)
        rows["results"].append(result(completed["id"]))
        rows["attempts"] += [attempt(failed["id"], lease) for lease in (1, 2)]
    write(direct, rows)
    return rows


def result(task_id: UUID) -> dict[str, Any]:
    """The row of what a task returned."""
    return {
        "task_id": task_id,
        "result": b'{"sent": true}',
        "created_at": LONG_AGO,
        "state": "completed",
        "task_name": "send",
        "codec": None,
        "runtime": 0.25,
        "error_type": None,
        "error_message": None,
        "error_data": None,
        "traceback": None,
        "expires_at": None,
    }


def attempt(task_id: UUID, lease: int) -> dict[str, Any]:
    """The row of a failed attempt."""
    return {
        "task_id": task_id,
        "lease": lease,
        "attempt": lease,
        "worker_id": None,
        "started_at": LONG_AGO,
        "failed_at": LONG_AGO,
        "error_type": "ValueError",
        "error_message": "no such user",
        "traceback": TRACEBACK,
    }


def write(direct: DirectStore, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Insert rows, by part, as they are."""
    tables = {
        "tasks": tasks,
        "archive": archive,
        "dead": dead_letters,
        "results": results,
        "attempts": attempts,
        "queues": queues,
    }

    def insert_all(transaction: Transaction) -> None:
        for name, group in rows.items():
            if group:
                transaction.connection.execute(insert(tables[name]), group)

    direct.run(insert_all)


def contents(direct: DirectStore, *names: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every part, or of those named, in order."""

    def read(transaction: Transaction) -> dict[str, list[dict[str, Any]]]:
        return {
            part.name: by_key(
                [dict(row._mapping) for row in transaction.connection.execute(select(part.table))]
            )
            for part in PARTS
            if not names or part.name in names
        }

    return direct.run(read)


def by_key(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of their keys."""
    return sorted(
        rows, key=lambda row: [str(row.get(name)) for name in ("id", "task_id", "name", "lease")]
    )


def ordered(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """What ``contents`` finds of these rows."""
    return {part.name: by_key(rows.get(part.name, [])) for part in PARTS}


def empty(direct: DirectStore) -> None:
    """Delete every row of every part."""

    def delete_all(transaction: Transaction) -> None:
        for part in PARTS:
            transaction.connection.execute(part.table.delete())

    direct.run(delete_all)
