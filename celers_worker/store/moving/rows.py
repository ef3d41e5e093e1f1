"""Rows of one part in a database: known by their keys, inserted unless they are there, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, delete, select, tuple_

from celers_worker.store import sql
from celers_worker.store.moving.parts import Part
from celers_worker.store.moving.records import Row
from celers_worker.store.transaction import Transaction
from celers_worker.store.values import chunks

Key = tuple[Any, ...]


def key_of(part: Part, row: Row) -> Key:
    """What *part* knows *row* by: a task by its id alone, wherever it is kept."""
    if part.holds_tasks:
        return (row["id"],)
    return tuple(row[column.name] for column in _identity(part))


def _identity(part: Part) -> Sequence[Column[Any]]:
    if part.serial is None:
        return part.key
    return [column for column in part.table.c if column is not part.serial]


def present(transaction: Transaction, part: Part, keys: Sequence[Key]) -> set[Key]:
    """Those of *keys* that are there."""
    identity = _identity(part)
    wanted = set(keys)
    found = {
        tuple(row)
        for chunk in chunks(keys)
        for row in transaction.connection.execute(
            select(*identity).where(_may_be(part, identity, chunk))
        )
    }
    return found & wanted


def _may_be(part: Part, identity: Sequence[Column[Any]], keys: Sequence[Key]) -> Any:
    """A condition that the rows with these keys meet, and perhaps others."""
    if part.serial is None:
        return is_one_of(part, keys)
    place = [column.name for column in identity].index(part.owner or "")
    return identity[place].in_({key[place] for key in keys})


def is_one_of(part: Part, keys: Sequence[Key]) -> Any:
    """A condition that the rows with these primary keys meet."""
    if len(part.key) == 1:
        return part.key[0].in_([key[0] for key in keys])
    return tuple_(*part.key).in_(keys)


def insert_rows(transaction: Transaction, part: Part, rows: Sequence[Row]) -> None:
    """Insert *rows*, but those whose place is taken; of each, the columns that *part* has."""
    if not rows:
        return
    columns = [str(column.name) for column in part.table.c if column is not part.serial]
    # A task that starts anew leaves the columns of the dead letter queue behind.
    values = [{name: _storable(row[name]) for name in columns} for row in rows]
    transaction.connection.execute(sql.insert_ignore(part.table), values)


def _storable(value: Any) -> Any:
    """Escape NUL, as elsewhere: PostgreSQL cannot hold it in text, so no text of ours has it."""
    match value:
        case str():
            return value.replace("\0", "\\0") if "\0" in value else value
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case _:
            return value


def delete_rows(transaction: Transaction, part: Part, rows: Sequence[Row]) -> int:
    """Delete these *rows* of *part*, and return how many there were."""
    deleted = 0
    for chunk in chunks(rows):
        if part.holds_tasks:  # by the id alone, whatever the primary key of the table
            wanted = part.table.c.id.in_([row["id"] for row in chunk])
        else:
            wanted = is_one_of(
                part, [tuple(row[column.name] for column in part.key) for row in chunk]
            )
        deleted += transaction.connection.execute(delete(part.table).where(wanted)).rowcount
    return deleted
