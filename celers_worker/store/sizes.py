"""How large the tables are, by the database's own account; and the archive's partitions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from celers_worker.store.postgres.partitions import day_of
from celers_worker.store.schema import metadata
from celers_worker.store.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """One table. ``rows`` is the server's estimate, on SQLite a count. None: it does not say.

    ``spare`` is what is dead or free in it: rows on PostgreSQL, bytes on MySQL.
    """

    name: str
    rows: int
    data_bytes: int | None
    index_bytes: int | None
    spare: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition of the archive; ``day`` is None for the one that takes what fits no other."""

    name: str
    day: date | None
    rows: int
    bytes: int
    dropped_after: date | None


_POSTGRES = text(
    "SELECT COALESCE(parent.relname, c.relname) AS name, SUM(GREATEST(c.reltuples, 0)) AS rows, "
    "SUM(pg_table_size(c.oid)) AS data, SUM(pg_indexes_size(c.oid)) AS indexes, "
    "SUM(COALESCE(s.n_dead_tup, 0)) AS spare "
    "FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid "
    "LEFT JOIN pg_class parent ON parent.oid = i.inhparent "
    "LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid "
    "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace "
    "AND COALESCE(parent.relname, c.relname) = ANY(:names) GROUP BY 1"
)
_MYSQL = text(
    "SELECT table_name AS name, table_rows AS `rows`, data_length AS data, "
    "index_length AS indexes, data_free AS spare FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name LIKE 'celers%'"
)
_SQLITE_PAGES = text(
    "SELECT m.tbl_name AS name, m.type AS kind, SUM(d.pgsize) AS size FROM dbstat d "
    "JOIN sqlite_master m ON m.name = d.name GROUP BY m.tbl_name, m.type"
)
_PARTITIONS = text(
    "SELECT child.relname AS name, GREATEST(child.reltuples, 0) AS rows, "
    "pg_total_relation_size(child.oid) AS bytes FROM pg_inherits "
    "JOIN pg_class child ON child.oid = inhrelid "
    "WHERE inhparent = 'celers_task_archive'::regclass ORDER BY child.relname"
)


def sizes(transaction: Transaction) -> list[TableSize]:
    """Our tables, the largest first."""
    names = sorted(metadata.tables)
    match transaction.connection.dialect.name:
        case "postgresql":
            rows = transaction.connection.execute(_POSTGRES, {"names": names}).all()
        case "sqlite":
            return _of_file(transaction, names)
        case _:
            rows = transaction.connection.execute(_MYSQL).all()
    found = [
        TableSize(
            name=row.name,
            rows=int(row.rows or 0),
            data_bytes=int(row.data or 0),
            index_bytes=int(row.indexes or 0),
            spare=int(row.spare or 0),
        )
        for row in rows
        if row.name in names
    ]
    return sorted(found, key=lambda one: (-(one.data_bytes or 0), one.name))


def partitions(transaction: Transaction, retention: timedelta) -> list[Partition]:
    """The archive's partitions with the day that the janitor drops each after; [] without any."""
    if transaction.connection.dialect.name != "postgresql":
        return []
    found = []
    for row in transaction.connection.execute(_PARTITIONS):
        day = day_of(row.name)
        until = None if day is None else day + retention + timedelta(days=1)
        found.append(
            Partition(
                name=row.name, day=day, rows=int(row.rows), bytes=row.bytes, dropped_after=until
            )
        )
    return found


def _of_file(transaction: Transaction, names: list[str]) -> list[TableSize]:
    """Rows are counted; bytes only where SQLite was built to tell them."""
    pages: dict[tuple[str, str], int] | None = None
    with suppress(DBAPIError):
        found = transaction.connection.execute(_SQLITE_PAGES).all()
        pages = {(row.name, row.kind): int(row.size) for row in found}
    sized = [
        TableSize(
            name=name,
            rows=transaction.connection.execute(
                select(func.count()).select_from(metadata.tables[name])
            ).scalar_one(),
            data_bytes=None if pages is None else pages.get((name, "table"), 0),
            index_bytes=None if pages is None else pages.get((name, "index"), 0),
            spare=None,
        )
        for name in names
    ]
    return sorted(sized, key=lambda one: (-(one.data_bytes or 0), -one.rows, one.name))
