"""``celers_enqueue`` in the database: any language that speaks SQL enqueues by one statement.

A function on PostgreSQL, and a procedure on MySQL and MariaDB, where a function would need SUPER
on a server with a binary log. SQLite has no stored code; docs/enqueue.md has an INSERT for it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from celers_worker.core.errors import Refused
from celers_worker.store.enqueue_mysql import MYSQL
from celers_worker.store.enqueue_postgresql import NAME as NAME
from celers_worker.store.enqueue_postgresql import POSTGRESQL
from celers_worker.store.errors import Fault, fault_of

#: Dropped first, for with other parameters it would be a second function of that name.
DROP = {
    "postgresql": f"DROP FUNCTION IF EXISTS {NAME}",
    "mysql": f"DROP PROCEDURE IF EXISTS {NAME}",
}
CREATE = {"postgresql": [DROP["postgresql"], POSTGRESQL], "mysql": [DROP["mysql"], MYSQL]}


def make(connection: Connection) -> None:
    """Make it, or make it again. Raises Refused, saying which right is missing and how to get it.

    Where there is no stored code, nothing happens.
    """
    try:
        for statement in CREATE.get(_backend(connection.dialect), ()):
            connection.execute(text(statement))
    except DBAPIError as error:
        if fault_of(error) not in (Fault.REFUSED, Fault.FORBIDDEN):
            raise
        raise Refused(
            f"{NAME}, which lets other languages enqueue by SQL, was not made: "
            f"{error.orig.args[-1] if error.orig else error}. GRANT CREATE ROUTINE, ALTER ROUTINE "
            "on this database to the user of database.url, then run: celers migrate function"
        ) from error


def create(context: Any) -> None:
    """Make it, as a step of the migration of *context*; without the right to, go on and say so."""
    if not context.as_sql:
        try:
            make(context.connection)
        except Refused as error:
            notes = context.environment_context.config.attributes.get("notes", [])
            if str(error) not in notes:  # by an earlier migration
                notes.append(str(error))
        return
    for statement in CREATE.get(_backend(context.dialect), ()):
        if _backend(context.dialect) == "mysql":
            # The client ends a statement at its first semicolon, unless it is told otherwise.
            context.impl.static_output(f"DELIMITER $$\n{_unescaped(statement)}$$\nDELIMITER ;")
        else:
            context.impl.static_output(f"{_unescaped(statement)};")


def drop(context: Any) -> None:
    """Drop it, as a step of the migration of *context*."""
    if statement := DROP.get(_backend(context.dialect)):
        context.impl.execute(statement)


def exists(connection: Connection) -> bool:
    """Whether it is there, or this database has no stored code."""
    if _backend(connection.dialect) not in CREATE:
        return True
    schema = "current_schema()" if _backend(connection.dialect) == "postgresql" else "DATABASE()"
    found = text(
        "SELECT count(*) FROM information_schema.routines "
        f"WHERE routine_name = '{NAME}' AND routine_schema = {schema}"
    )
    return bool(connection.execute(found).scalar_one())


def _backend(dialect: Any) -> str:
    return "mysql" if dialect.name == "mariadb" else str(dialect.name)


def _unescaped(statement: str) -> str:
    return statement.replace("\\:", ":")
