"""What there is on a server or in a folder, and users who may do little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pymysql
import pytest

from tests import databases
from tests.conftest import SERVER_FIXTURES
from tests.servers import ExternalServer, Server

#: Makes a user of the server of a URL, runs statements about ``{user}``, and returns its URL.
MakeUser = Callable[..., str]


def everything(url: str) -> set[str]:
    """Places, schemas, tables and functions that are there; or files."""
    if url.startswith("sqlite"):
        folder = Path(url.removeprefix("sqlite:///")).parent
        return {path.name for path in folder.iterdir()}
    if url.startswith("postgres"):
        asked = (
            "SELECT datname FROM pg_database WHERE starts_with(datname, 'celers_selftest')",
            "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'",
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace",
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        )
    else:
        asked = (
            "SELECT schema_name FROM information_schema.schemata"
            " WHERE LEFT(schema_name, 15) = 'celers_selftest'",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
            "SELECT routine_name FROM information_schema.routines"
            " WHERE routine_schema = DATABASE()",
        )
    return {row[0] for query in asked for row in databases.execute(url, query)}


@pytest.fixture
def server_url(request: pytest.FixtureRequest, server: str) -> Iterator[str]:
    """A new database on one of our own servers; ``server`` says on which."""
    made: Server = request.getfixturevalue(SERVER_FIXTURES[server])
    if isinstance(made, ExternalServer):
        pytest.skip("users are made by an administrator, whom only our own servers let in")
    made.start()
    name = f"celers_{uuid4().hex}"
    yield made.create_database(name)
    made.drop_database(name)


@pytest.fixture
def make_user(server_url: str) -> Iterator[MakeUser]:
    """A user who may do what *statements* say; gone afterwards."""
    administrator = databases.administrator(server_url)
    made: list[str] = []

    def make(*statements: str) -> str:
        user = f"modest_{uuid4().hex[:8]}"
        made.append(user)
        if server_url.startswith("postgres"):
            databases.execute(administrator, f"CREATE ROLE {user} LOGIN PASSWORD 'word'")
        else:
            databases.execute(administrator, f"CREATE USER {user}@'%' IDENTIFIED BY 'word'")
        for statement in statements:
            database = urlsplit(server_url).path.lstrip("/")
            databases.execute(administrator, statement.format(user=user, database=database))
        parts = urlsplit(server_url)
        netloc = f"{user}:word@{parts.netloc.rpartition('@')[2]}"
        return parts._replace(netloc=netloc).geturl()

    yield make
    for user in made:
        with suppress(psycopg.Error, pymysql.err.MySQLError):
            if server_url.startswith("postgres"):
                databases.execute(administrator, f"DROP OWNED BY {user}")
                databases.execute(administrator, f"DROP ROLE {user}")
            else:
                databases.execute(administrator, f"DROP USER {user}")
