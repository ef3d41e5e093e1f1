"""SQLite tells its plans, and how often the loops of its virtual machine turn."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any, Self

from sqlalchemy import Engine, event

from celers_worker.store import Store
from tests.store.watching.watch import Touched, Watch

#: What is in no table: the results of a sweep's recursive queries, lists, and constants.
_OWN_RESULTS = ("SCAN level", "SCAN each", "SCAN CONSTANT", "SCAN 2 CONSTANT", "SCAN (")


class SQLiteWatch(Watch):
    """Rows are turns of loops: about a hundred for each task, whatever else is in the file."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._turns = 0
        self._sent: list[str] = []

    def __enter__(self) -> Self:
        event.listen(Engine, "connect", self._attach)
        return self

    def __exit__(self, *details: object) -> None:
        event.remove(Engine, "connect", self._attach)

    @asynccontextmanager
    async def touched(self) -> AsyncIterator[Touched]:
        touched = Touched()
        self._turns = 0
        self._sent.clear()
        yield touched
        touched.rows = self._turns
        with closing(sqlite3.connect(self.store.url.database or "")) as connection:
            for statement in list(self._sent):
                touched.faults += _faults(connection, statement)

    def limit(self, batch: int, bare: Touched) -> int:
        """As many as with nothing around it; a sweep finds a level more."""
        return bare.rows + batch

    def _attach(self, connection: Any, record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_progress_handler(self._turn, 1)
            connection.set_trace_callback(self._sent.append)

    def _turn(self) -> None:
        self._turns += 1


def _faults(connection: sqlite3.Connection, statement: str) -> Iterator[str]:
    if statement.startswith(("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")):
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            scans = step.startswith("SCAN") and not step.startswith(_OWN_RESULTS)
            if scans or "TEMP B-TREE" in step:
                yield f"{step}: {statement}"
