"""The few expressions that databases spell differently, and the literals that plans depend on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Insert,
    Integer,
    String,
    Table,
    literal,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import expression
from sqlalchemy.sql.functions import FunctionElement

from celers_worker.core.task import TaskState
from celers_worker.store.types import UtcDateTime


def state(value: TaskState) -> ColumnElement[str]:
    """A state as a literal: bound, a generic plan could not use the index on pending tasks."""
    return literal_column(f"'{value.value}'", String)


def integer(value: int) -> ColumnElement[int]:
    """A number as a literal, for columns of a SELECT, where a bound one would have no type."""
    return literal_column(str(value), Integer)


def words(value: str) -> ColumnElement[str]:
    """Words of ours as a literal, for columns of a SELECT, where bound ones have no type."""
    return literal_column(f"'{value}'", String)


class Spelled(FunctionElement[Any]):
    """An expression that each database spells in its own way.

    ``{0}`` stands for the first argument, however often: a bind of its own each time, for where
    binds are told by their place none can be named twice. MariaDB writes what MySQL does.
    """

    spelling: ClassVar[Mapping[str, str]]
    inherit_cache = True


@compiles(Spelled)
def _spell(element: Spelled, compiler: Any, **options: Any) -> str:
    dialect = "mysql" if compiler.dialect.name == "mariadb" else compiler.dialect.name
    arguments = list(element.clauses)

    def argument(place: re.Match[str]) -> str:
        return str(compiler.process(arguments[int(place[1])], **options))

    return re.sub(r"\{(\d)\}", argument, element.spelling[dialect])


class now(Spelled):  # noqa: N801 - it reads as the SQL function it stands for
    """The database's time at the start of this statement, in UTC, with microseconds."""

    type = UtcDateTime()
    inherit_cache = True
    name = "now"
    spelling: ClassVar = {
        # Not now(): inside the caller's long transaction that is the time it began.
        "postgresql": "statement_timestamp()",
        "mysql": "UTC_TIMESTAMP(6)",
        # %f is seconds with three digits; SQLAlchemy writes six, and the texts are compared.
        "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    }


class later(Spelled):  # noqa: N801 - it reads as the SQL function it stands for
    """``later(seconds)``: now and so many seconds; negative for the past; NULL for NULL."""

    type = UtcDateTime()
    inherit_cache = True
    name = "later"
    spelling: ClassVar = {
        "postgresql": "(statement_timestamp() + make_interval(secs => {0}))",
        "mysql": "TIMESTAMPADD(MICROSECOND, ROUND({0} * 1000000), UTC_TIMESTAMP(6))",
        "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', round({0}, 3) || ' seconds')",
    }


class seconds_since(Spelled):  # noqa: N801 - it reads as the SQL function it stands for
    """``seconds_since(instant)``: the seconds from an instant to now."""

    inherit_cache = True
    name = "seconds_since"
    spelling: ClassVar = {
        "postgresql": "CAST(extract(epoch FROM statement_timestamp() - {0}) AS double precision)",
        "mysql": "(TIMESTAMPDIFF(MICROSECOND, {0}, UTC_TIMESTAMP(6)) / 1000000.0)",
        "sqlite": "((julianday('now') - julianday({0})) * 86400.0)",
    }


class earlier(Spelled):  # noqa: N801 - it reads as the SQL function it stands for
    """``earlier(a, b)``: the smaller of two instants."""

    type = UtcDateTime()
    inherit_cache = True
    name = "earlier"
    spelling: ClassVar = {
        "postgresql": "least({0}, {1})",
        "mysql": "least({0}, {1})",
        "sqlite": "min({0}, {1})",
    }


class has_tag(Spelled):  # noqa: N801 - it reads as the SQL function it stands for
    """``has_tag(metadata, tag, escaped)``: whether ``metadata.tags`` holds a tag, letter by letter.

    *escaped* is the tag as JSON in ASCII, as our drivers write it: MariaDB compares the text.
    """

    type = Boolean()
    inherit_cache = True
    name = "has_tag"
    spelling: ClassVar = {
        "postgresql": "({0} @> jsonb_build_object('tags', jsonb_build_array(CAST({1} AS text))))",
        "mysql": "(COALESCE(JSON_CONTAINS({0}, JSON_QUOTE({1}), '$.tags'), 0)"
        " OR COALESCE(JSON_CONTAINS({0}, {2}, '$.tags'), 0))",
        # Not every document is JSON: other programs write too, and SQLite checks nothing.
        "sqlite": "EXISTS (SELECT 1 FROM"
        " json_each(CASE WHEN json_valid({0}) THEN {0} ELSE '{}' END,"
        " '$.tags') AS t WHERE t.value = {1})",
    }


class before_colon(Spelled):  # noqa: N801 - it reads as the SQL it stands for
    """``before_colon(text)``: what stands before the first colon; all of it where there is none."""

    type = String()
    inherit_cache = True
    name = "before_colon"
    spelling: ClassVar = {
        "postgresql": "split_part({0}, ':', 1)",
        "mysql": "SUBSTRING_INDEX({0}, ':', 1)",
        "sqlite": "substr({0}, 1, instr({0} || ':', ':') - 1)",
    }


class json_text(Spelled):  # noqa: N801 - it reads as the SQL function it stands for
    """``json_text(document, key)``: the value at a key of the top level as text, else NULL."""

    type = String()
    inherit_cache = True
    name = "json_text"
    spelling: ClassVar = {
        "postgresql": "({0} ->> CAST({1} AS text))",
        # The others want a path; a key with a quote or a backslash has none here.
        "mysql": """JSON_UNQUOTE(JSON_EXTRACT({0}, CONCAT('$."', {1}, '"')))""",
        # True and false would be 1 and 0; and one row with a broken document would refuse them all.
        "sqlite": """(CASE WHEN json_valid({0}) THEN CASE json_type({0}, ('$."' || {1} || '"')) """
        "WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
        """ELSE CAST(json_extract({0}, ('$."' || {1} || '"')) AS TEXT) END END)""",
    }

    def __init__(self, document: ColumnElement[Any], key: str) -> None:
        super().__init__(document, literal(key, String))


class column_now(expression.ColumnElement[Any]):  # noqa: N801 - it reads as the SQL it stands for
    """Now, as the default of a column."""

    inherit_cache = True


@compiles(column_now)
def _column_now(element: column_now, compiler: Any, **options: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(column_now, "mysql")
@compiles(column_now, "mariadb")
def _column_now_mysql(element: column_now, compiler: Any, **options: Any) -> str:
    # The only form before MySQL 8.0.13. It is the session's time, and our sessions are in UTC.
    return "CURRENT_TIMESTAMP(6)"


@compiles(column_now, "sqlite")
def _column_now_sqlite(element: column_now, compiler: Any, **options: Any) -> str:
    return "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))"


class insert_ignore(Insert):  # noqa: N801 - it reads as the SQL function it stands for
    """An INSERT that leaves out the rows whose key is taken, and only those."""

    inherit_cache = True

    def __init__(self, table: Table) -> None:
        super().__init__(table)


@compiles(insert_ignore, "postgresql")
@compiles(insert_ignore, "sqlite")
def _ignore(element: insert_ignore, compiler: Any, **options: Any) -> str:
    return f"{compiler.visit_insert(element, **options)} ON CONFLICT DO NOTHING"


@compiles(insert_ignore, "mysql")
@compiles(insert_ignore, "mariadb")
def _ignore_mysql(element: insert_ignore, compiler: Any, **options: Any) -> str:
    # Not INSERT IGNORE, which also swallows truncation and NULLs.
    # With the table's name: an INSERT from a SELECT has the column twice.
    key = f"{element.table.name}.{next(iter(element.table.primary_key)).name}"
    return f"{compiler.visit_insert(element, **options)} ON DUPLICATE KEY UPDATE {key} = {key}"


class insert_or_replace(Insert):  # noqa: N801 - it reads as the SQL function it stands for
    """An INSERT that takes the place of a row with the same key."""

    inherit_cache = True

    def __init__(self, table: Table) -> None:
        super().__init__(table)


@compiles(insert_or_replace, "postgresql")
@compiles(insert_or_replace, "sqlite")
def _replace(element: insert_or_replace, compiler: Any, **options: Any) -> str:
    keys = ", ".join(column.name for column in element.table.primary_key)
    changed = ", ".join(f"{name} = excluded.{name}" for name in _not_keys(element.table))
    text = compiler.visit_insert(element, **options)
    return f"{text} ON CONFLICT ({keys}) DO UPDATE SET {changed}"


@compiles(insert_or_replace, "mysql")
@compiles(insert_or_replace, "mariadb")
def _replace_mysql(element: insert_or_replace, compiler: Any, **options: Any) -> str:
    # Not REPLACE, which deletes first. MariaDB knows VALUES() only, MySQL warns of it since 8.0.20.
    text, names = compiler.visit_insert(element, **options), _not_keys(element.table)
    dialect = compiler.dialect
    if dialect._requires_alias_for_on_duplicate_key and not dialect.is_mariadb:
        changed = ", ".join(f"{name} = fresh.{name}" for name in names)
        return f"{text} AS fresh ON DUPLICATE KEY UPDATE {changed}"
    changed = ", ".join(f"{name} = VALUES({name})" for name in names)
    return f"{text} ON DUPLICATE KEY UPDATE {changed}"


def _not_keys(table: Any) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key]
