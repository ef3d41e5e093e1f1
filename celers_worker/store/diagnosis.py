"""What is wrong with a database, and what mends it: for ``celers doctor``. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.reflection import Inspector

from celers_worker.core.errors import Refused, SchemaError
from celers_worker.store import enqueue_function
from celers_worker.store.schema import metadata
from celers_worker.store.server import check_schema, check_server, known_faults, server_of
from celers_worker.store.transaction import Transaction


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Tasks are not run, or run wrongly."""
    WARNING = "warning"
    """It works, and could work better or safer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: what, why it matters, and the command or statement that mends it."""

    severity: Severity
    what: str
    why: str
    mend: str


def examine(transaction: Transaction) -> list[Finding]:
    """Look at the server and the tables; without sound tables, at nothing beyond them."""
    connection = transaction.connection
    server = server_of(connection)
    try:
        check_server(server)
        check_schema(connection)
    except (Refused, SchemaError) as error:
        command = str(error).partition("Run: ")[2] or "upgrade the server"
        return [_error(str(error).split(" Run: ")[0], "Nothing runs before that.", command)]
    found = [
        _warning(fault, "A fault of the server, not of Celers.", "upgrade the server")
        for fault in known_faults(server)
    ]
    inspector = inspect(connection)
    found += _missing_tables(inspector)
    if not found or all(one.severity is Severity.WARNING for one in found):
        found += _other_columns(inspector, connection.dialect)
    if not enqueue_function.exists(connection):
        found.append(
            _warning(
                f"{enqueue_function.NAME} is missing",
                "Other languages cannot enqueue by one statement of SQL.",
                "celers migrate function",
            )
        )
    return found


def _missing_tables(inspector: Inspector) -> Iterator[Finding]:
    present = set(inspector.get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in present:
            yield _error(
                f"the table {table.name} is missing, though the migrations are applied",
                "Whatever needs it fails.",
                "celers migrate sql  (it shows how the table is made)",
            )


def _other_columns(inspector: Inspector, dialect: Dialect) -> Iterator[Finding]:
    for table in metadata.sorted_tables:
        reflected = {column["name"]: column for column in inspector.get_columns(table.name)}
        options = inspector.get_table_options(table.name)
        collation = str(options.get(f"{dialect.name}_collate", "")).upper()
        for column in table.columns:
            there = reflected.get(column.name)
            place = f"{table.name}.{column.name}"
            if there is None:
                yield _error(
                    f"the column {place} is missing",
                    "Statements that name it fail.",
                    "celers migrate sql  (it shows how the column is made)",
                )
                continue
            wanted = _kind(column.type, dialect)
            is_there = _kind(there["type"], dialect, collation)
            if wanted != is_there:
                yield _error(
                    f"the column {place} is {is_there}, not {wanted}",
                    "Values are cut, rounded or compared in another way than Celers relies on.",
                    _change(table.name, column.name, column.type.compile(dialect=dialect), dialect),
                )


def _kind(kind: Any, dialect: Dialect, collation: str = "") -> str:
    """A type as the database spells it, without what says nothing.

    *collation* is its table's, which MySQL leaves out of a column that has the same.
    """
    if dialect.name == "sqlite":
        return ""  # a column holds anything there
    text = kind.compile(dialect=dialect).upper()
    text = re.sub(r" CHARACTER SET \w+", "", text).replace('"', "").replace("`", "")
    text = re.sub(r"\b(INTEGER|INT|BIGINT|TINYINT)(\(\d+\))?", _whole_number, text)
    if collation and "COLLATE" not in text and re.search("CHAR|TEXT", text):
        text = f"{text} COLLATE {collation}"
    # MariaDB's JSON is a long text with a check.
    return re.sub(r"^LONGTEXT.*", "JSON", text)


def _whole_number(match: re.Match[str]) -> str:
    return "INTEGER" if match[1] == "INT" else match[1]


def _change(table: str, column: str, kind: str, dialect: Dialect) -> str:
    if dialect.name == "postgresql":
        return f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}"
    return f"ALTER TABLE {table} MODIFY {column} {kind}"


def _error(what: str, why: str, mend: str) -> Finding:
    return Finding(severity=Severity.ERROR, what=what, why=why, mend=mend)


def _warning(what: str, why: str, mend: str) -> Finding:
    return Finding(severity=Severity.WARNING, what=what, why=why, mend=mend)
