"""What is wrong with a database, and what mends it: for ``celers doctor``. Changes nothing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import SAWarning

from celers_worker.core.errors import Refused, SchemaError
from celers_worker.store import enqueue_function
from celers_worker.store.schema import metadata
from celers_worker.store.server import check_schema, check_server, known_faults, server_of
from celers_worker.store.transaction import Transaction

#: One of them each database has.
CLAIM_INDEXES = ("idx_tasks_dequeue", "idx_tasks_state_queue")


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
    except (Refused, SchemaError) as problem:
        command = str(problem).partition("Run: ")[2] or "upgrade the server"
        return [error(str(problem).split(" Run: ")[0], "Nothing runs before that.", command)]
    found = [
        warning(fault, "A fault of the server, not of Celers.", "upgrade the server")
        for fault in known_faults(server)
    ]
    with warnings.catch_warnings():
        # What it cannot read is not there for it, which is told here.
        warnings.simplefilter("ignore", SAWarning)
        inspector = inspect(connection)
        found += _missing_tables(inspector)
        if all(one.severity is Severity.WARNING for one in found):
            found += _other_columns(inspector, connection.dialect)
            found += _missing_indexes(inspector, connection.dialect)
    if not enqueue_function.exists(connection):
        found.append(
            warning(
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
            yield error(
                f"the table {table.name} is missing, though the migrations are applied",
                "Whatever needs it fails.",
                "celers migrate sql  (it shows how the table is made)",
            )


def _other_columns(inspector: Inspector, dialect: Dialect) -> Iterator[Finding]:
    for table in metadata.sorted_tables:
        reflected = {column["name"]: column for column in inspector.get_columns(table.name)}
        options = inspector.get_table_options(table.name)
        collation = str(options.get(f"{dialect.name}_collate", "")).upper()
        yield from _unknown_columns(table, reflected)
        for column in table.columns:
            there = reflected.get(column.name)
            place = f"{table.name}.{column.name}"
            if there is None:
                yield error(
                    f"the column {place} is missing",
                    "Statements that name it fail.",
                    "celers migrate sql  (it shows how the column is made)",
                )
                continue
            if not there["nullable"] and column.nullable:
                yield error(
                    f"the column {place} is NOT NULL, and Celers leaves it empty",
                    "Statements that write such a row fail.",
                    _nullable(
                        table.name, column.name, column.type.compile(dialect=dialect), dialect
                    ),
                )
            wanted = _kind(column.type, dialect)
            is_there = _kind(there["type"], dialect, collation)
            if wanted != is_there:
                yield error(
                    f"the column {place} is {is_there}, not {wanted}",
                    "Values are cut, rounded or compared in another way than Celers relies on.",
                    _change(table.name, column.name, column.type.compile(dialect=dialect), dialect),
                )


def _unknown_columns(table: Any, reflected: dict[str, Any]) -> Iterator[Finding]:
    """A column of somebody else's is welcome, unless each row must have a value there."""
    for name, there in reflected.items():
        if name not in table.c and not there["nullable"] and there.get("default") is None:
            yield error(
                f"the column {table.name}.{name} is none of Celers', NOT NULL and has no default",
                "Every new row is refused, for nobody gives it a value.",
                f"ALTER TABLE {table.name} DROP COLUMN {name}  (or give it a default)",
            )


def _missing_indexes(inspector: Inspector, dialect: Dialect) -> Iterator[Finding]:
    """The claim's own index has a finding of its own, by its plan; see checkup.plan."""
    for table in metadata.sorted_tables:
        present = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            elsewhere = dialect.name not in index.info.get("only_on", {dialect.name})
            if index.name in (*present, *CLAIM_INDEXES) or elsewhere:
                continue
            columns = ", ".join(column.name for column in index.columns)
            condition = index.dialect_kwargs.get(f"{dialect.name}_where")
            where = "" if condition is None else f" WHERE {condition}"
            made = f"{'UNIQUE ' if index.unique else ''}INDEX {index.name}"
            yield (error if index.unique else warning)(
                f"the index {index.name} of {table.name} is missing",
                "What it keeps unique may be there twice."
                if index.unique
                else "What looks there reads the whole table.",
                f"CREATE {made} ON {table.name} ({columns}){where}",
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


def _nullable(table: str, column: str, kind: str, dialect: Dialect) -> str:
    if dialect.name == "postgresql":
        return f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
    return f"ALTER TABLE {table} MODIFY {column} {kind} NULL"


def error(what: str, why: str, mend: str) -> Finding:
    """A finding by which tasks are not run, or run wrongly."""
    return Finding(severity=Severity.ERROR, what=what, why=why, mend=mend)


def warning(what: str, why: str, mend: str) -> Finding:
    """A finding by which it works, and could work better or safer."""
    return Finding(severity=Severity.WARNING, what=what, why=why, mend=mend)
