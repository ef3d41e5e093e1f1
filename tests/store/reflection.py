"""A database's schema as a value that can be compared."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect, text

from celers_worker.store.direct import DirectStore

_RAW = {
    "sqlite": "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = :table ORDER BY name",
    "mysql": "SHOW CREATE TABLE {table}",
    "postgresql": (
        "SELECT c.relname, c.relkind::text, pg_get_partkeydef(c.oid), c.reloptions::text,"
        " CASE WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END FROM pg_class c"
        " LEFT JOIN pg_index i ON i.indexrelid = c.oid"
        " WHERE CAST(:table AS text) IN (c.relname::text, i.indrelid::regclass::text)"
        " ORDER BY c.relname"
    ),
}


def schema_of(direct: DirectStore) -> dict[str, Any]:
    """Our tables with their columns, keys, indexes and what only the database can say of them."""
    found = {}
    with direct.engine.connect() as connection:
        inspector = inspect(connection)
        for table in sorted(inspector.get_table_names()):
            # The version table is Alembic's, the partitions are the janitor's.
            if table == "celers_alembic_version" or table.startswith("celers_task_archive_"):
                continue
            raw = _RAW[connection.dialect.name]
            values = {"table": table} if ":table" in raw else {}
            found[table] = {
                "columns": {
                    column["name"]: (
                        repr(column["type"]),
                        column["nullable"],
                        column["default"],
                        column.get("autoincrement"),
                    )
                    for column in inspector.get_columns(table)
                },
                "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
                "indexes": {
                    index["name"]: (
                        tuple(index["column_names"]),
                        bool(index["unique"]),
                        {
                            key: str(value)
                            for key, value in index.get("dialect_options", {}).items()
                        },
                    )
                    for index in inspector.get_indexes(table)
                },
                "raw": [
                    _told(row) for row in connection.execute(text(raw.format(table=table)), values)
                ],
            }
    return found


def _told(row: Any) -> str:
    """What a row says. MySQL tells indexes in the order in which they were made, which is none."""
    lines = "\n".join(map(str, row)).splitlines()
    indexes = sorted(line.rstrip(",") for line in lines if line.lstrip().startswith("KEY "))
    others = [line for line in lines if not line.lstrip().startswith("KEY ")]
    return " ".join(" ".join([*others, *indexes]).split())
