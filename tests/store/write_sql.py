"""Writes the statements as each database gets them: `python -m tests.store.write_sql`.

The files are there to be read, and pasted into EXPLAIN. A test compares them with the code, so that
a reviewer sees in SQL what a change of Python does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import mysql, postgresql, sqlite

from celers_worker.store import (
    capacity,
    lease_statements,
    limits,
    result_statements,
    schedule_statements,
    statements,
    sweeps,
    unique_statements,
)
from celers_worker.store import mysql as mysql_store
from celers_worker.store.postgres import hot
from celers_worker.store.postgres.held import Compiled
from celers_worker.store.workflow import mending_statements, whole_statements
from celers_worker.store.workflow import statements as workflow_statements

DIRECTORY = Path(__file__).parent / "sql"
DIALECTS = {"postgresql": postgresql, "mysql": mysql, "sqlite": sqlite}
_HEADER = "-- Written by `make sql` from celers_worker/store: do not edit.\n"
_WIDTH = 110
_CLAUSE = re.compile(
    r"\s+(?=(?:SELECT|(?<!DELETE )FROM|WHERE|(?<!CHARACTER )SET|VALUES|RETURNING|UNION ALL|ORDER BY"
    r"|LIMIT|AND|(?<!OUTER )JOIN|STRAIGHT_JOIN|LEFT OUTER JOIN|UPDATE celers_tasks"
    r"|ON CONFLICT|ON DUPLICATE)\b)"
)


def render(backend: str) -> str:
    """Return the file for *backend*."""
    parts = [f"\n-- {name}\n{_laid_out(sql)};\n" for name, sql in _statements(backend)]
    return _HEADER + "".join(parts)


def _laid_out(sql: str) -> str:
    """A line for each clause, indented by the parentheses around it, broken after commas only."""
    lines: list[str] = []
    depth = 0
    for clause in _CLAUSE.split(" ".join(sql.split())):
        line = "    " * depth + ("  " if clause.startswith("AND ") else "")
        for part in re.split("(?<=,) ", clause):
            if len(line) + len(part) > _WIDTH and line.strip():
                lines.append(line.rstrip())
                line = "    " * (depth + 1)
            line += f"{part} "
        lines.append(line.rstrip())
        depth += clause.count("(") - clause.count(")")
    return "\n".join(lines)


def _statements(backend: str) -> Iterator[tuple[str, str]]:
    dialect = DIALECTS[backend].dialect(paramstyle="named")
    instead = {"DELETE_TASKS": mysql_store.DELETE_TASKS} if backend == "mysql" else {}
    for name, statement in _portable():
        yield name, _lists(str(instead.get(name, statement).compile(dialect=dialect)))
    if backend == "postgresql":
        for name, compiled in vars(hot).items():
            if isinstance(compiled, Compiled):
                yield f"{name}, on asyncpg", compiled.text
        for binds in (("ids", "payloads"), ("ids", "payloads", "priorities", "documents")):
            statement = hot.enqueue_many(frozenset(binds))
            yield f"enqueue_many, differing in {', '.join(binds)}, on asyncpg", statement.text


def _portable() -> Iterator[tuple[str, Any]]:
    """The statements in the order of the source."""
    modules = (
        *(
            statements,
            result_statements,
            sweeps,
            lease_statements,
            unique_statements,
            capacity,
            limits,
        ),
        schedule_statements,
        *(workflow_statements, whole_statements, mending_statements),
    )
    for name, value in (item for module in modules for item in vars(module).items()):
        if name.isupper() and not name.startswith("_"):
            if isinstance(value, dict):
                yield from ((f"{name}[{key}]", one) for key, one in value.items())
            elif getattr(value, "supports_execution", False):
                yield name, value
        elif name == "sweep":
            yield "sweep of two queues", value(2)
            yield "sweep of every queue", value(None)


def _lists(sql: str) -> str:
    """Show a list of any length as one bind."""
    return re.sub(r"\(__\[POSTCOMPILE_(\w+)\]\)", r"(:\1, …)", sql)


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for each in DIALECTS:
        (DIRECTORY / f"{each}.sql").write_text(render(each))
