"""Rows that leave: locked at the source, committed at the target, then deleted at the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from celers_worker.core.task import new_id
from celers_worker.store import sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.moving.arrival import Conflict
from celers_worker.store.moving.loading import Loaded, load
from celers_worker.store.moving.pages import next_size, page, stages
from celers_worker.store.moving.parts import Part
from celers_worker.store.moving.records import Row
from celers_worker.store.moving.rows import delete_rows, key_of
from celers_worker.store.moving.selection import Selection
from celers_worker.store.schema import queues
from celers_worker.store.transaction import Transaction

_FIRST_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows that have left, or that the target would not take and that stay."""

    rows: Sequence[Row]
    loaded: Loaded
    deleted: int
    size: int
    """How many were asked for."""

    @property
    def is_last(self) -> bool:
        """Whether there were no more."""
        return len(self.rows) < self.size


def stages_of(part: Part) -> range:
    """The numbers of the stages of a part, in order."""
    return range(len(stages(part)))


def relocate(
    transaction: Transaction,
    target: DirectStore,
    part: Part,
    wanted: Selection,
    stage: int,
    *,
    before: Batch | None,
) -> Batch:
    """Move the rows after the batch *before*, of one stage of *part*, to *target*.

    In a transaction of the source, which the caller commits. What the target has not committed is
    not deleted; told the same twice, it has it already.
    """
    after = before.rows[-1] if before is not None else None
    size = _FIRST_BATCH if before is None else next_size(before.rows)
    conditions = [*stages(part)[stage], *wanted.conditions(part)]
    statement = page(part, conditions, after=after, size=size).with_for_update()
    rows: list[Row] = [dict(row._mapping) for row in transaction.connection.execute(statement)]
    if not rows:
        return Batch(rows=rows, loaded=Loaded(), deleted=0, size=size)
    loaded = target.run(load, part, rows, conflict=Conflict.NEWER)
    arrived = [row for row in rows if key_of(part, row) in loaded.present]
    deleted = 0 if part.stays else delete_rows(transaction, part, arrived)
    return Batch(rows=rows, loaded=loaded, deleted=deleted, size=size)


def is_same(one: DirectStore, other: DirectStore) -> bool:
    """Whether two URLs lead to one database, under whatever names, or to a replica of it.

    A mark is written to one and looked for in the other. To move rows from a database to itself
    would delete them. Killed in between, the mark stays as a queue of which nothing is said.
    """
    mark = f"celers-copy-{new_id().hex}"

    def write(transaction: Transaction) -> None:
        transaction.connection.execute(sql.insert_ignore(queues), {"name": mark})

    def seen(transaction: Transaction) -> bool:
        query = select(queues.c.name).where(queues.c.name == mark)
        return transaction.connection.execute(query).first() is not None

    def erase(transaction: Transaction) -> None:
        transaction.connection.execute(delete(queues).where(queues.c.name == mark))

    one.run(write)
    try:
        return other.run(seen)
    finally:
        one.run(erase)
