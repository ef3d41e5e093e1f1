"""The sessions of a place: found, so that they can be ended without harm to others."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError


def end_sessions(connection: Connection, name: str) -> int:
    """End the sessions of the place *name*, but this one, and say how many; none on SQLite.

    They are told by the name of the application on PostgreSQL, by the database on MySQL.
    """
    match connection.dialect.name:
        case "postgresql":
            ended = connection.execute(text(_END_ON_POSTGRESQL), {"name": name})
            return sum(row[0] for row in ended)
        case "mysql" | "mariadb":
            sessions = list(connection.execute(text(_ON_MYSQL), {"name": name}).scalars())
            for session in sessions:
                with suppress(DBAPIError):  # it may just have left
                    connection.execute(text(f"KILL {int(session)}"))
            return len(sessions)
        case _:
            return 0


_END_ON_POSTGRESQL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
    " AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)
_ON_MYSQL = (
    "SELECT id FROM information_schema.processlist WHERE db = :name AND id <> CONNECTION_ID()"
)
