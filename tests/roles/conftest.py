"""A migrated database on each server, and a user for each role as `celers grants` makes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from celers_worker.store import make_direct_store, migrate
from celers_worker.store.direct import DirectStore
from celers_worker.store.grants import Role
from tests import databases
from tests.cli.shell import celers, done
from tests.conftest import SERVER_FIXTURES
from tests.servers import ExternalServer, Server

__all__ = ["celers", "done"]

PASSWORD = "w0rd-of-roles"


@dataclass(frozen=True)
class Database:
    """One database, its owner's URL, and those of the users with a role."""

    name: str
    owner: str
    users: dict[Role, str]

    @property
    def on_postgres(self) -> bool:
        return self.name == "postgres"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group(f"roles on {name}"))
        for name in SERVER_FIXTURES
    ],
)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """With a task of each state in it, whose payload nobody should see who need not."""
    server: Server = request.getfixturevalue(SERVER_FIXTURES[request.param])
    if isinstance(server, ExternalServer):
        pytest.skip("users are made by an administrator, whom only our own servers let in")
    server.start()
    name = f"celers_{uuid4().hex}"
    owner = server.create_database(name)
    with make_direct_store(owner) as direct:
        migrate.upgrade(direct)
    made = Database(request.param, owner, {})
    for role in Role:
        made.users[role] = _user(made, role)
    yield made
    server.start()
    server.drop_database(name)


@pytest.fixture
def owner(database: Database) -> Iterator[DirectStore]:
    """The store as its owner sees it."""
    with make_direct_store(database.owner) as store:
        yield store


def _user(database: Database, role: Role) -> str:
    """Make a user, let it be *role*, and return its URL."""
    user = f"{role}_{uuid4().hex[:8]}"
    parts = urlsplit(database.owner)
    administrator = databases.administrator(database.owner)
    if database.on_postgres:
        _execute(administrator, [f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"])
    else:
        made = f"CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'"
        _execute(administrator, [made])
    answer = done("--database", database.owner, "grants", "--role", role.value, "--user", user)
    grants = [line for line in answer.lines if not line.startswith("--")]
    # On PostgreSQL the owner of the tables may say who does what with them.
    _execute(database.owner if database.on_postgres else administrator, grants)
    return parts._replace(netloc=f"{user}:{PASSWORD}@{parts.netloc.partition('@')[2]}").geturl()


def _execute(url: str, statements: list[str]) -> None:
    with closing(databases.connect(url)) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
