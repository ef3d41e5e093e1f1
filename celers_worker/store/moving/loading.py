"""Rows that arrive: one batch of one part in one transaction. Twice the same changes nothing.

A task's id exists once among live, archived and dead tasks, so a task that has run here since it
arrived is known, and does not come back to life when the same file is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, union_all

from celers_worker.core.errors import CelersError, Unavailable
from celers_worker.core.task import LIVE, TaskState
from celers_worker.store.moving.arrival import (
    CHANGEABLE,
    Conflict,
    Resident,
    above,
    arriving,
    place_of,
    wins,
)
from celers_worker.store.moving.parts import PARTS, Part
from celers_worker.store.moving.records import Row
from celers_worker.store.moving.rows import Key, insert_rows, is_one_of, key_of, present
from celers_worker.store.transaction import Transaction
from celers_worker.store.values import chunks

_PLACES = {part.name: part for part in PARTS if part.holds_tasks}
_COMPARED = ("lease", *CHANGEABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of a batch; keys are those of its rows."""

    added: int = 0
    replaced: int = 0
    known: int = 0
    """Left as they are: the row that is there stays."""
    held: Sequence[Key] = ()
    """Left out: another live task has the unique key."""
    present: frozenset[Key] = field(default=frozenset(), repr=False)
    """The keys of rows that are in the database when this is committed."""


class AlreadyThere(CelersError):
    """A row is there already, and that was to be refused."""

    def __init__(self, part: Part, key: Key) -> None:
        shown = ", ".join(map(str, key))
        super().__init__(f"{part.name} {shown} is in the database already")
        self.key = key


def load(
    transaction: Transaction,
    part: Part,
    rows: Sequence[Row],
    *,
    conflict: Conflict,
    as_pending: bool = False,
    dry_run: bool = False,
) -> Loaded:
    """Write *rows* of *part*, or with *dry_run* find out what would become of them.

    Raises AlreadyThere with ``Conflict.FAIL``.
    """
    if part.holds_tasks:
        return _load_tasks(
            transaction, part, rows, conflict=conflict, as_pending=as_pending, dry_run=dry_run
        )
    return _load_plain(transaction, part, rows, conflict=conflict, dry_run=dry_run)


def _refuse_half(part: Part, lost: Collection[object]) -> None:
    """Let nothing be deleted for a row that then was kept out; the transaction is rolled back."""
    if lost:
        raise Unavailable(
            f"{part.name}: another row took a unique value of {next(iter(lost))} meanwhile."
        )


# --- tasks, of which an id exists once in three tables ---


def _load_tasks(
    transaction: Transaction,
    part: Part,
    rows: Sequence[Row],
    *,
    conflict: Conflict,
    as_pending: bool,
    dry_run: bool,
) -> Loaded:
    incoming = {row["id"]: arriving(row, as_pending=as_pending) for row in rows}
    there = _residents(transaction, list(incoming))
    if there and conflict is Conflict.FAIL:
        raise AlreadyThere(part, (next(iter(there)),))
    winners = {
        task_id: above(incoming[task_id], resident)
        for task_id, resident in there.items()
        if wins(incoming[task_id], resident, conflict)
    }
    fresh = {task_id: row for task_id, row in incoming.items() if task_id not in there}
    held = _held_back(transaction, {**fresh, **winners})
    written = {task_id: row for task_id, row in {**fresh, **winners}.items() if task_id not in held}
    if not dry_run:
        _remove(transaction, [task_id for task_id in winners if task_id in written])
        late = _insert_tasks(transaction, written)
        _refuse_half(part, late & set(winners))
        held |= late
    added = [task_id for task_id in fresh if task_id not in held]
    replaced = [task_id for task_id in winners if task_id not in held]
    return Loaded(
        added=len(added),
        replaced=len(replaced),
        known=len(rows) - len(added) - len(replaced) - len(held & set(fresh)),
        held=[(task_id,) for task_id in incoming if task_id in held],
        present=frozenset((task_id,) for task_id in incoming if task_id not in held),
    )


def _residents(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Resident]:
    found = {}
    for chunk in chunks(ids):
        query = union_all(
            *(
                select(part.table.c.id, *(part.table.c[name] for name in _COMPARED)).where(
                    part.table.c.id.in_(chunk)
                )
                for part in _PLACES.values()
            )
        )
        for row in transaction.connection.execute(query):
            found[row.id] = Resident(TaskState(row.state), row.lease, dict(row._mapping))
    return found


def _held_back(transaction: Transaction, rows: dict[UUID, dict[str, Any]]) -> set[UUID]:
    """Those whose unique key another task has, of the live ones or of *rows* before them."""
    keyed = {
        row["unique_key"]: task_id
        for task_id, row in reversed(rows.items())
        if row["unique_key"] is not None and TaskState(row["state"]) in LIVE
    }
    live = _PLACES["tasks"].table
    for chunk in chunks(list(keyed)):
        query = select(live.c.unique_key, live.c.id).where(live.c.unique_key.in_(chunk))
        keyed |= {row.unique_key: row.id for row in transaction.connection.execute(query)}
    return {
        task_id
        for task_id, row in rows.items()
        if TaskState(row["state"]) in LIVE and keyed.get(row["unique_key"], task_id) != task_id
    }


def _remove(transaction: Transaction, ids: Sequence[UUID]) -> None:
    for chunk in chunks(ids):
        for place in _PLACES.values():
            transaction.connection.execute(delete(place.table).where(place.table.c.id.in_(chunk)))


def _insert_tasks(transaction: Transaction, rows: dict[UUID, dict[str, Any]]) -> set[UUID]:
    """Insert *rows* where their states belong; return those that a unique key kept out."""
    by_place: dict[str, list[dict[str, Any]]] = {}
    for row in rows.values():
        by_place.setdefault(place_of(TaskState(row["state"])), []).append(row)
    for name, group in by_place.items():
        insert_rows(transaction, _PLACES[name], group)
    live = [row["id"] for row in by_place.get("tasks", []) if row["unique_key"] is not None]
    arrived = set(_residents(transaction, live))
    transaction.announce(
        {row["queue_name"] for row in by_place.get("tasks", []) if row["state"] == "pending"}
    )
    return {task_id for task_id in live if task_id not in arrived}


# --- everything else ---


def _load_plain(
    transaction: Transaction,
    part: Part,
    rows: Sequence[Row],
    *,
    conflict: Conflict,
    dry_run: bool,
) -> Loaded:
    incoming = {key_of(part, row): row for row in rows}
    there = present(transaction, part, list(incoming))
    if there and conflict is Conflict.FAIL:
        raise AlreadyThere(part, next(iter(there)))
    replacing = conflict is Conflict.REPLACE or (conflict is Conflict.NEWER and not part.fixed)
    replacing = replacing and part.serial is None  # known by all it says: it would be the same
    winners = [key for key in incoming if key in there and replacing]
    fresh = [key for key in incoming if key not in there]
    held: set[Key] = set()
    if not dry_run:
        for chunk in chunks(winners):
            transaction.connection.execute(delete(part.table).where(is_one_of(part, chunk)))
        insert_rows(transaction, part, [dict(incoming[key]) for key in (*winners, *fresh)])
        held = set(incoming) - present(transaction, part, list(incoming))
        _refuse_half(part, held & set(winners))
    return Loaded(
        added=len([key for key in fresh if key not in held]),
        replaced=len(winners),
        known=len(rows) - len(fresh) - len(winners),
        held=[key for key in fresh if key in held],
        present=frozenset(key for key in incoming if key not in held),
    )
