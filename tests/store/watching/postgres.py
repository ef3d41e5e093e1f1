"""PostgreSQL explains each statement on its own connection before it runs there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self

import asyncpg
from sqlalchemy import event

from celers_worker.store import Store
from tests.store.watching.watch import LARGE, Touched, Watch

#: Left alone, the server plans a prepared statement for the values of each execution, or once for
#: all. A plan made once, while the table was empty, is the trap.
_MODES = {"auto": ("auto", "force_custom_plan", "force_generic_plan")}


class PostgresWatch(Watch):
    """Rows are those that scans of tables returned or threw away, by the worst plan."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._engine = store.engine.sync_engine
        self._current: Touched | None = None

    def __enter__(self) -> Self:
        event.listen(self._engine, "do_connect", self._use_ours)
        return self

    def __exit__(self, *details: object) -> None:
        event.remove(self._engine, "do_connect", self._use_ours)

    @asynccontextmanager
    async def touched(self) -> AsyncIterator[Touched]:
        self._current = touched = Touched()
        yield touched
        self._current = None

    def _use_ours(self, dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
        watch = self

        class Watched(asyncpg.Connection):
            """What SQLAlchemy and the store call, explained first."""

            async def fetch(self, query: str, *values: Any, **options: Any) -> list[Any]:
                await watch.explain(self, query, values)
                return await super().fetch(query, *values, **options)

            async def executemany(self, command: str, args: Iterable[Any], **options: Any) -> None:
                rows = list(args)
                for values in rows:
                    await watch.explain(self, command, values)
                await super().executemany(command, rows, **options)

            async def prepare(self, query: str, **options: Any) -> Any:
                return _Prepared(watch, self, await super().prepare(query, **options))

        options["connection_class"] = Watched

    async def explain(self, connection: Any, query: str, values: Sequence[Any]) -> None:
        """Note what *query* touches in each mode; nothing of it stays but a prepared statement."""
        touched, self._current = self._current, None
        if touched is None:
            return
        chosen = await connection.fetchval("SHOW plan_cache_mode")
        modes = _MODES.get(chosen, (chosen,))
        plans = [await _plan(connection, query, values, mode) for mode in modes]
        for mode, plan in zip(modes, plans, strict=True):
            touched.faults += [f"{fault}, {mode}: {query}" for fault in _faults(plan)]
            touched.sorted = max(touched.sorted, *map(_sorted, _nodes(plan)), 0)
        touched.rows += max(sum(map(_rows, _nodes(plan))) for plan in plans)
        touched.pages += max(
            plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans
        )
        self._current = touched


class _Prepared:
    """A prepared statement of SQLAlchemy's."""

    def __init__(self, watch: PostgresWatch, connection: Any, statement: Any) -> None:
        self._watch = watch
        self._connection = connection
        self._statement = statement

    async def fetch(self, *values: Any, **options: Any) -> Any:
        await self._watch.explain(self._connection, self._statement.get_query(), values)
        return await self._statement.fetch(*values, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._statement, name)


async def _plan(connection: Any, query: str, values: Sequence[Any], mode: str) -> dict[str, Any]:
    """The plan of *query*, prepared when it was first asked for, after a run that is undone."""
    name = f"explained_{abs(hash(query))}"
    known = "SELECT FROM pg_prepared_statements WHERE name = $1"
    if await connection.fetchrow(known, name) is None:
        await connection.execute(f"PREPARE {name} AS {query}")
    literals = f"({', '.join(map(_literal, values))})" if values else ""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        document = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}{literals}"
        )
    finally:
        await transaction.rollback()
    plan: dict[str, Any] = document[0]["Plan"]  # SQLAlchemy lets asyncpg decode JSON
    return plan


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bytes():
            text = f"\\x{value.hex()}"
        case datetime():
            text = value.isoformat()
        case list() | tuple():
            # Quoted for the server, each item is a JSON string in an array's braces.
            items = (_literal(item) for item in value)
            quoted = (
                item if item == "NULL" else json.dumps(item[1:-1].replace("''", "'"))
                for item in items
            )
            text = "{" + ",".join(quoted) + "}"
        case _:
            text = str(value)
    return "'" + text.replace("'", "''") + "'"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _rows(node: dict[str, Any]) -> int:
    if "Scan" not in node["Node Type"] or "Relation Name" not in node:
        return 0
    kinds = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return round(sum(node.get(kind, 0) for kind in kinds) * node["Actual Loops"])


def _sorted(node: dict[str, Any]) -> int:
    # What comes in: of what comes out, a limit above it decides.
    inputs = node["Plans"] if "Sort" in node["Node Type"] else ()
    return sum(round(each["Actual Rows"]) for each in inputs)


def _faults(plan: dict[str, Any]) -> Iterator[str]:
    for node in _nodes(plan):
        kind, relation = node["Node Type"], node.get("Relation Name", "")
        if kind == "Seq Scan" and relation.startswith(LARGE):
            yield f"{kind} of {relation}"
