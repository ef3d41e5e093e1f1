"""The examples of docs/enqueue.md run as they stand there."""

from __future__ import annotations

import ast
import inspect
from contextlib import closing
from typing import Any

import msgspec
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from celers_worker import Celers
from celers_worker.config import Config
from celers_worker.store.direct import DirectStore
from tests import databases
from tests.documents import Document
from tests.store.steps import live_rows

blocks = Document("enqueue.md").blocks


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "celers_example_orders"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_the_examples_in_python_run(migrated_url: str, direct: DirectStore) -> None:
    engine = create_engine(make_url(migrated_url))
    Base.metadata.create_all(engine)
    names: dict[str, Any] = {
        "rows": [{"user_id": 1}],
        "Session": Session,
        "engine": engine,
        "order": Order(id=1),
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    first, *others = blocks("python")
    exec(first, names)
    app = names["app"]
    assert isinstance(app, Celers)
    database = msgspec.structs.replace(Config().database, url=migrated_url)
    app.client.config = msgspec.structs.replace(Config(), database=database)
    try:
        for block in others:
            code = compile(block, "enqueue.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            running = eval(code, names)
            if inspect.iscoroutine(running):
                await running
    finally:
        await app.close()
        engine.dispose()
    assert len(live_rows(direct)) > 10_000


@pytest.mark.parametrize(
    ("migrated_url", "place"),
    [("postgres", 0), ("mysql", 1), ("sqlite", 2)],
    indirect=["migrated_url"],
)
def test_the_examples_in_sql_run(migrated_url: str, place: int, direct: DirectStore) -> None:
    statements = [one for one in blocks("sql")[place].split(";\n") if one.strip()]
    if migrated_url.startswith("sqlite"):
        with direct.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    else:
        with (
            closing(databases.connect(migrated_url)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchall()
    assert len(live_rows(direct)) == len(statements)
