"""The few expressions that databases spell differently, and the literals that plans depend on."""

from __future__ import annotations

from typing import Any

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


class now(FunctionElement[Any]):  # noqa: N801 - it reads as the SQL function it stands for
    """The database's time at the start of this statement, in UTC, with microseconds."""

    type = UtcDateTime()
    inherit_cache = True
    name = "now"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **options: Any) -> str:
    # Not now(): inside the caller's long transaction that is the time it began.
    return "statement_timestamp()"


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _now_mysql(element: now, compiler: Any, **options: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **options: Any) -> str:
    # %f is seconds with three digits; SQLAlchemy writes six, and the texts are compared.
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


class later(FunctionElement[Any]):  # noqa: N801 - it reads as the SQL function it stands for
    """``later(seconds)``: now and so many seconds; negative for the past; NULL for NULL."""

    type = UtcDateTime()
    inherit_cache = True
    name = "later"


@compiles(later, "postgresql")
def _later_postgresql(element: later, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(later, "mysql")
@compiles(later, "mariadb")
def _later_mysql(element: later, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"TIMESTAMPADD(MICROSECOND, ROUND({seconds} * 1000000), UTC_TIMESTAMP(6))"


@compiles(later, "sqlite")
def _later_sqlite(element: later, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', round({seconds}, 3) || ' seconds')"


class seconds_since(FunctionElement[float]):  # noqa: N801 - it reads as the SQL function it stands for
    """``seconds_since(instant)``: the seconds from an instant to now."""

    inherit_cache = True
    name = "seconds_since"


@compiles(seconds_since, "postgresql")
def _since_postgresql(element: seconds_since, compiler: Any, **options: Any) -> str:
    instant = compiler.process(element.clauses, **options)
    return f"CAST(extract(epoch FROM statement_timestamp() - {instant}) AS double precision)"


@compiles(seconds_since, "mysql")
@compiles(seconds_since, "mariadb")
def _since_mysql(element: seconds_since, compiler: Any, **options: Any) -> str:
    instant = compiler.process(element.clauses, **options)
    return f"(TIMESTAMPDIFF(MICROSECOND, {instant}, UTC_TIMESTAMP(6)) / 1000000.0)"


@compiles(seconds_since, "sqlite")
def _since_sqlite(element: seconds_since, compiler: Any, **options: Any) -> str:
    instant = compiler.process(element.clauses, **options)
    return f"((julianday('now') - julianday({instant})) * 86400.0)"


class earlier(FunctionElement[Any]):  # noqa: N801 - it reads as the SQL function it stands for
    """``earlier(a, b)``: the smaller of two instants."""

    type = UtcDateTime()
    inherit_cache = True
    name = "earlier"


@compiles(earlier)
def _earlier(element: earlier, compiler: Any, **options: Any) -> str:
    return f"least({compiler.process(element.clauses, **options)})"


@compiles(earlier, "sqlite")
def _earlier_sqlite(element: earlier, compiler: Any, **options: Any) -> str:
    return f"min({compiler.process(element.clauses, **options)})"


class has_tag(FunctionElement[bool]):  # noqa: N801 - it reads as the SQL function it stands for
    """``has_tag(metadata, tag, escaped)``: whether ``metadata.tags`` holds a tag, letter by letter.

    *escaped* is the tag as JSON in ASCII, as our drivers write it: MariaDB compares the text.
    """

    type = Boolean()
    inherit_cache = True
    name = "has_tag"


@compiles(has_tag, "postgresql")
def _has_tag_postgresql(element: has_tag, compiler: Any, **options: Any) -> str:
    document, tag = (compiler.process(one, **options) for one in list(element.clauses)[:2])
    return f"({document} @> jsonb_build_object('tags', jsonb_build_array(CAST({tag} AS text))))"


@compiles(has_tag, "mysql")
@compiles(has_tag, "mariadb")
def _has_tag_mysql(element: has_tag, compiler: Any, **options: Any) -> str:
    document, tag, escaped = (compiler.process(clause, **options) for clause in element.clauses)
    return (
        f"(COALESCE(JSON_CONTAINS({document}, JSON_QUOTE({tag}), '$.tags'), 0)"
        f" OR COALESCE(JSON_CONTAINS({document}, {escaped}, '$.tags'), 0))"
    )


@compiles(has_tag, "sqlite")
def _has_tag_sqlite(element: has_tag, compiler: Any, **options: Any) -> str:
    document, tag = (compiler.process(one, **options) for one in list(element.clauses)[:2])
    # Not every document is JSON: other programs write too, and SQLite checks nothing.
    sound = f"CASE WHEN json_valid({document}) THEN {document} ELSE '{{}}' END"
    return f"EXISTS (SELECT 1 FROM json_each({sound}, '$.tags') AS t WHERE t.value = {tag})"


class before_colon(FunctionElement[str]):  # noqa: N801 - it reads as the SQL it stands for
    """``before_colon(text)``: what stands before the first colon; all of it where there is none."""

    type = String()
    inherit_cache = True
    name = "before_colon"


@compiles(before_colon, "postgresql")
def _before_postgresql(element: before_colon, compiler: Any, **options: Any) -> str:
    return f"split_part({compiler.process(element.clauses, **options)}, ':', 1)"


@compiles(before_colon, "mysql")
@compiles(before_colon, "mariadb")
def _before_mysql(element: before_colon, compiler: Any, **options: Any) -> str:
    return f"SUBSTRING_INDEX({compiler.process(element.clauses, **options)}, ':', 1)"


@compiles(before_colon, "sqlite")
def _before_sqlite(element: before_colon, compiler: Any, **options: Any) -> str:
    whole = compiler.process(element.clauses, **options)
    return f"substr({whole}, 1, instr({whole} || ':', ':') - 1)"


class json_text(FunctionElement[str]):  # noqa: N801 - it reads as the SQL function it stands for
    """``json_text(document, key)``: the value at a key of the top level as text, else NULL."""

    type = String()
    inherit_cache = True
    name = "json_text"

    def __init__(self, document: ColumnElement[Any], key: str) -> None:
        super().__init__(document, literal(key, String))


@compiles(json_text, "postgresql")
def _json_postgresql(element: json_text, compiler: Any, **options: Any) -> str:
    document, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({document} ->> CAST({key} AS text))"


# The others want a path; a key with a quote or a backslash has none here.


@compiles(json_text, "mysql")
@compiles(json_text, "mariadb")
def _json_mysql(element: json_text, compiler: Any, **options: Any) -> str:
    document, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"""JSON_UNQUOTE(JSON_EXTRACT({document}, CONCAT('$."', {key}, '"')))"""


@compiles(json_text, "sqlite")
def _json_sqlite(element: json_text, compiler: Any, **options: Any) -> str:
    document, key = element.clauses
    text = compiler.process(document, **options)
    # Each has a bind of its own: a positional one cannot be named twice.
    first, second = (f"""('$."' || {compiler.process(key, **options)} || '"')""" for _ in range(2))
    # True and false would be 1 and 0; and one row with a broken document would refuse them all.
    return (
        f"(CASE WHEN json_valid({text}) THEN CASE json_type({text}, {first}) "
        f"WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
        f"ELSE CAST(json_extract({text}, {second}) AS TEXT) END END)"
    )


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
    # To change nothing takes the right to change it, so not a column by which a task is ended.
    columns = element.table.columns
    harmless = next(
        (name for name in ("unique_key", "checked_at") if name in columns),
        next(iter(element.table.primary_key)).name,
    )
    key = f"{element.table.name}.{harmless}"
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
