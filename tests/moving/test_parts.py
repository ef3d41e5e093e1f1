"""What the next table has to do to be moved: nothing, or one line."""

from __future__ import annotations

import io
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table

from celers_worker.store import schema
from celers_worker.store.direct import DirectStore
from celers_worker.store.moving import relocating
from celers_worker.store.moving.arrival import Conflict
from celers_worker.store.moving.loading import load
from celers_worker.store.moving.pages import pages
from celers_worker.store.moving.parts import PARTS, STAY, Part, parts_of
from celers_worker.store.moving.records import Records
from celers_worker.store.moving.selection import EVERYTHING
from celers_worker.store.types import Id, UtcDateTime
from tests.moving import content

_TABLES = MetaData()
#: A table of the future: its rows belong to tasks, and the database numbers them.
trail = Table(
    "celers_trail",
    _TABLES,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("task_id", Id(), nullable=False),
    Column("state", String(20), nullable=False),
    Column("at", UtcDateTime(), nullable=False),
    Column("message", String(255)),
)


def test_every_table_is_moved_or_stays_for_a_reason() -> None:
    moved = {part.table.name for part in PARTS}
    tables = {table.name for table in schema.metadata.sorted_tables}
    assert moved | (set(STAY) & tables) == tables
    assert not moved & set(STAY)
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_live_tasks_go_last_for_whatever_they_need_must_be_there_before() -> None:
    assert [part.name for part in PARTS][-3:] == ["archive", "dead", "tasks"]


def test_a_table_that_nobody_registered_comes_along() -> None:
    [part] = parts_of(_TABLES, named=[])
    assert (part.name, part.owner, part.queue) == ("trail", "task_id", None)


def test_rows_that_the_database_numbers_are_not_doubled_and_do_not_collide(
    direct: DirectStore, spare: DirectStore
) -> None:
    [part] = parts_of(_TABLES, named=[])
    task_id = content.new_id()
    rows = [
        {"id": number, "task_id": task_id, "state": state, "at": content.LONG_AGO, "message": None}
        for number, state in enumerate(("pending", "processing", "completed"), start=1)
    ]
    other = rows[0] | {"task_id": content.new_id()}  # has the number of another row
    _create(spare, [])
    _create(direct, [other])
    try:
        for _ in range(2):
            loaded = direct.run(load, part, rows, conflict=Conflict.SKIP)
        assert (loaded.added, loaded.known) == (0, 3)
        found = _rows(direct, part)
        assert [(row["task_id"], row["state"]) for row in found] == [
            (row["task_id"], row["state"]) for row in (other, *rows)
        ]
        # And the next one gets a number of its own.
        _insert(direct, {name: rows[0][name] for name in ("task_id", "state", "at")})
        assert len({row["id"] for row in _rows(direct, part)}) == 5

        batch = direct.run(relocating.relocate, spare, part, EVERYTHING, 0, before=None)
        assert batch.deleted == 5
        assert (_rows(direct, part), len(_rows(spare, part))) == ([], 4)  # two said the same
    finally:
        for store in (direct, spare):
            store.run(lambda transaction: trail.drop(transaction.connection))


def test_such_a_row_is_a_line_like_every_other() -> None:
    parts = parts_of(_TABLES, named=[])
    row = {"id": 1, "task_id": content.new_id(), "state": "x", "at": content.LONG_AGO}
    line = Records(parts).write(parts[0], row | {"message": None})
    assert Records(parts).read(line) == (parts[0], row | {"message": None})
    assert b"message" not in io.BytesIO(line).getvalue()


def _create(store: DirectStore, rows: list[dict[str, Any]]) -> None:
    store.run(lambda transaction: trail.create(transaction.connection))
    for row in rows:
        _insert(store, {name: value for name, value in row.items() if name != "id"})


def _insert(store: DirectStore, row: dict[str, Any]) -> None:
    store.run(lambda transaction: transaction.connection.execute(trail.insert().values(row)))


def _rows(store: DirectStore, part: Part) -> list[dict[str, Any]]:
    return store.run(
        lambda transaction: [
            dict(row) for page in pages(transaction.connection, part, EVERYTHING) for row in page
        ]
    )
