"""Databases of a server's own, made and dropped with the plain drivers: nothing here is ours."""

import re
from contextlib import closing, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

from tests.waiting import eventually_sync

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 30


def connect(url: str) -> Any:
    """A DB-API connection in autocommit; MySQL's has no types, so none are promised."""
    parts = urlsplit(url)
    if _is_postgres(url):
        return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/"),
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        autocommit=True,
    )


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own and return its rows, if it has any."""
    with closing(connect(url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def answers(url: str) -> bool:
    """Whether one can connect and ask."""
    try:
        execute(url, "SELECT 1")
    except (psycopg.OperationalError, pymysql.err.OperationalError):
        return False
    return True


def administrator(url: str) -> str:
    """*url* for who may do everything on one of our own servers."""
    parts = urlsplit(url)
    user = "postgres" if _is_postgres(url) else "root"
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


def create_database(server: str, name: str) -> str:
    """Return the URL of a new, empty database beside the one that `server` names."""
    execute(server, f"CREATE DATABASE {_checked(name)}")
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def drop_database(server: str, name: str) -> None:
    """Drop it, whoever is still connected."""
    if _is_postgres(server):
        eventually_sync(lambda: _dropped_postgres_database(server, _checked(name)))
    else:
        _drop_mysql_database(server, _checked(name))


def _dropped_postgres_database(server: str, name: str) -> bool:
    try:
        execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except psycopg.errors.InsufficientPrivilege:
        return False  # autovacuum is at it, whom nobody may end; it will not be long
    return True


def _drop_mysql_database(server: str, name: str) -> None:
    with closing(connect(server)) as connection, closing(connection.cursor()) as cursor:
        # DROP waits for the transactions in the database, by default for a day.
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
        for (session,) in cursor.fetchall():
            with suppress(pymysql.err.MySQLError):  # it may just have left
                cursor.execute(f"KILL {session}")
        cursor.execute(f"SET lock_wait_timeout = {_ANSWER_SECONDS // 2}")
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def _is_postgres(url: str) -> bool:
    return urlsplit(url).scheme.startswith("postgres")


def _checked(name: str) -> str:
    if not re.fullmatch(r"celers_[a-z0-9_]+", name):
        raise ValueError(f"{name!r}: a test database is named celers_ and small letters")
    return name
