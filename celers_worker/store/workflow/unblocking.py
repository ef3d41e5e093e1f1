"""Unblocking: a step whose parents have all ended becomes pending, with their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from celers_worker.core.passing import Nothing, Passed, fill
from celers_worker.core.payload import SIZE_LIMIT
from celers_worker.core.task import TaskState
from celers_worker.core.workflow import Path, Policy
from celers_worker.store.values import chunks
from celers_worker.store.workflow import statements

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction

#: The reason of the dead letter.
TOO_LARGE = "the results it waits for are too large"


@dataclass(frozen=True, slots=True)
class Ready:
    """A step that may start, and its parents in their order: rows of ``PARENTS``."""

    id: UUID
    queue: str
    parents: Sequence[Any]


def unblock(transaction: Transaction, ready: Iterable[Ready]) -> dict[UUID, str]:
    """Make steps pending; those whose payload would be too large are left, and why is returned."""
    refused: dict[UUID, str] = {}
    plain: list[UUID] = []
    changed: list[dict[str, Any]] = []
    queues: set[str] = set()
    by_workflow: defaultdict[UUID, list[Ready]] = defaultdict(list)
    for one in ready:
        by_workflow[one.parents[0].workflow_id].append(one)
    for workflow_id, group in by_workflow.items():
        steps = _steps(transaction, workflow_id, group)
        for one in group:
            step = steps[one.id]
            if why := _too_large(one, step.template):
                refused[one.id] = why
                continue
            payload = _payload(transaction, one, step.template)
            if not step.delay:
                queues.add(one.queue)
            if payload is None and step.delay is None:
                plain.append(one.id)
            else:
                changed.append({"task_id": one.id, "wait": step.delay, "full": payload})
    for chunk in chunks(plain):
        transaction.connection.execute(statements.UNBLOCK, {"ids": chunk})
    if changed:
        transaction.connection.execute(statements.UNBLOCK_CHANGED, changed)
    transaction.announce(queues)
    return refused


def _steps(
    transaction: Transaction, workflow_id: UUID, group: Collection[Ready]
) -> dict[UUID, Any]:
    return {
        row.task_id: row
        for chunk in chunks([one.id for one in group])
        for row in transaction.connection.execute(
            statements.STEPS, {"workflow": workflow_id, "ids": chunk}
        )
    }


def _too_large(one: Ready, template: bytes | None) -> str | None:
    """Told from the sizes alone: what is too large is not even read."""
    size = len(template or b"") + sum(row.size for row in one.parents)
    if size <= SIZE_LIMIT:
        return None
    return (
        f"{TOO_LARGE}: with {len(one.parents):,} of them its payload takes {size:,} bytes, more "
        f"than the limit of {SIZE_LIMIT:,}. Let the steps before it store their data elsewhere and "
        "return references."
    )


def _payload(transaction: Transaction, one: Ready, template: bytes | None) -> bytes | None:
    """The payload with the results in it; None: nothing is passed on."""
    given = [row for row in one.parents if row.path is not None]
    if template is None or not given:
        return None
    results = _results(transaction, [row.parent_id for row in given])
    passed = [(_path(row.path), _passed(row, results)) for row in given]
    return fill(bytes(template), passed)


def _results(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, bytes]:
    return {
        row.task_id: bytes(row.result)
        for chunk in chunks(ids)
        for row in transaction.connection.execute(statements.RESULTS, {"ids": chunk})
    }


def _passed(row: Any, results: dict[UUID, bytes]) -> Passed:
    if row.policy == Policy.ON_FAILURE.value:
        return msgspec.json.encode(
            {
                "id": row.parent_id,
                "name": row.name,
                "state": row.state,
                "error": row.error_message,
            }
        )
    if row.state == TaskState.COMPLETED.value:
        return results.get(row.parent_id)
    return Nothing.LEFT_OUT if row.policy == Policy.SKIP.value else None


def _path(text: str) -> Path:
    return tuple(msgspec.json.decode(text))
