"""Reading a part page by page, along its primary key: memory is bounded, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.task import TaskState
from celers_worker.store.moving.parts import Part
from celers_worker.store.moving.records import Row
from celers_worker.store.moving.selection import Selection
from celers_worker.store.schema import tasks
from celers_worker.store.values import CHUNK

#: What a page should weigh at most, in bytes of its texts and payloads. It is found out as one
#: reads, so a page of much larger rows than those before it can be heavier, once.
PAGE_WEIGHT = 8 * 1024 * 1024
_FIRST_PAGE = 100


def stages(part: Part) -> Sequence[Sequence[ColumnElement[bool]]]:
    """The conditions under which a part is read, one after another.

    Blocked tasks go before those they may wait for: if one of these ran before the blocked one has
    arrived, nothing would ever unblock it.
    """
    if part.table is not tasks:
        return [[]]
    blocked = tasks.c.state == TaskState.BLOCKED.value
    return [[blocked], [~blocked]]


def pages(connection: Connection, part: Part, wanted: Selection) -> Iterator[list[Row]]:
    """Every row of *part* that is *wanted*, in order of the key, in pages of at most a thousand."""
    for stage in stages(part):
        after: Row | None = None
        size = _FIRST_PAGE
        while True:
            statement = page(part, [*stage, *wanted.conditions(part)], after=after, size=size)
            rows: list[Row] = [dict(row._mapping) for row in connection.execute(statement)]
            if rows:
                yield rows
            if len(rows) < size:
                break
            after = rows[-1]
            size = next_size(rows)


def page(
    part: Part, conditions: Sequence[ColumnElement[bool]], *, after: Row | None, size: int
) -> Select[Any]:
    """The next *size* rows that meet *conditions*, beyond the row *after*."""
    beyond = [] if after is None else [_beyond(part, after)]
    return select(part.table).where(*conditions, *beyond).order_by(*part.key).limit(size)


def next_size(rows: Sequence[Row]) -> int:
    """How many rows like these make a page, at most a thousand."""
    weight = sum(
        len(value) for row in rows for value in row.values() if isinstance(value, (bytes, str))
    )
    return max(1, min(CHUNK, PAGE_WEIGHT * len(rows) // max(1, weight)))


def count(connection: Connection, part: Part, wanted: Selection) -> int:
    """How many rows of *part* are wanted."""
    query = select(func.count()).select_from(part.table).where(*wanted.conditions(part))
    return connection.execute(query).scalar_one()


def _beyond(part: Part, row: Row) -> ColumnElement[bool]:
    """Whether a key is greater, written so that every database finds the place in the index."""
    first, *rest = part.key
    steps: list[ColumnElement[bool]] = [first > row[first.name]]
    equal: list[ColumnElement[bool]] = [first == row[first.name]]
    if not rest:
        return steps[0]
    for column in rest:
        steps.append(and_(*equal, column > row[column.name]))
        equal.append(column == row[column.name])
    return and_(first >= row[first.name], or_(*steps))
