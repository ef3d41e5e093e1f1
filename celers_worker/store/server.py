"""Which server is this, is it new enough, and does it have our tables?"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from celers_worker.core.errors import Refused, SchemaError
from celers_worker.store.schema import HEAD, VERSION_TABLE

#: SKIP LOCKED, RETURNING, recursive CTEs and JSON_TABLE decide.
OLDEST = {
    "PostgreSQL": (12,),
    "MySQL": (8, 0, 4),
    "MariaDB": (10, 6),
    "SQLite": (3, 35),
}

_PRODUCTS = {
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "sqlite": "SQLite",
}

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))


@dataclass(frozen=True, slots=True)
class Server:
    """A database server by product and version."""

    product: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"


def server_of(connection: Connection) -> Server:
    """Ask which server *connection* leads to."""
    dialect = connection.dialect
    version = tuple(part for part in dialect.server_version_info or () if isinstance(part, int))
    product = _PRODUCTS.get(dialect.name, dialect.name)
    if getattr(dialect, "is_mariadb", False):
        product = "MariaDB"
    if product == "SQLite":
        text = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        version = tuple(int(part) for part in text.split("."))
    return Server(product, version)


def check_server(server: Server) -> None:
    """Raise Refused if the server is too old, with the version found and the one needed.

    A database that another package brings is that package's to check.
    """
    needed = OLDEST.get(server.product, ())
    if server.version < needed:
        raise Refused(
            f"{server} is too old: Celers needs {server.product} "
            f"{'.'.join(map(str, needed))} or newer."
        )


def known_faults(server: Server) -> list[str]:
    """Faults of this server that its users should know of, a sentence each."""
    if server.product == "SQLite" and server.version < (3, 51, 3):
        return [
            f"{server} has a rare fault that can damage a file which several processes write; "
            "3.51.3 does not. See https://sqlite.org/wal.html"
        ]
    return []


def schema_revision(connection: Connection) -> str | None:
    """The revision of the tables, or None if there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def newer_schema(revision: str) -> SchemaError:
    """The error for tables that a newer version has made."""
    return SchemaError(
        f"the tables are at revision {revision}, newer than the {HEAD} of this celers-worker. "
        "Run: pip install --upgrade celers-worker"
    )


def check_schema(connection: Connection) -> None:
    """Raise SchemaError unless the tables are those of this version."""
    revision = schema_revision(connection)
    if revision == HEAD:
        return
    if revision is None:
        raise SchemaError("the database has no Celers tables. Run: celers migrate")
    if revision > HEAD:
        raise newer_schema(revision)
    raise SchemaError(
        f"the tables are at revision {revision}, {HEAD} is needed. Run: celers migrate"
    )
