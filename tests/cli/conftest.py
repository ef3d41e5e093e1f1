"""What the tests of the command line start from: a directory of their own, and a database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from celers_worker.store import make_direct_store, migrate
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import metadata
from tests import databases
from tests.conftest import DATABASES, SERVER_FIXTURES
from tests.servers import Server

TASKS = """\
from celers_worker import Celers, backoff

app = Celers()


@app.task(queue="emails", priority=7, max_retries=5)
async def send_welcome(to: str, subject: str = "Welcome") -> dict:
    return {"to": to, "subject": subject}


@app.task(max_retries=0)
def fail(why: str = "no reason") -> None:
    raise ValueError(why)
"""


@pytest.fixture(autouse=True)
def workplace(own_modules: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, no variables of ours, and no module left behind."""
    for name in ("DATABASE_URL", "APP", "CONFIG", "COMPLETE"):
        monkeypatch.delenv(f"CELERS_{name}", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return own_modules


@pytest.fixture
def tasks_file(workplace: Path) -> Path:
    """An application where ``celers`` looks for one."""
    (workplace / "tasks.py").write_text(TASKS)
    return workplace / "tasks.py"


@pytest.fixture(scope="session")
def cli_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated file, to be copied."""
    return _migrated(f"sqlite:///{tmp_path_factory.mktemp('migrated')}/celers.db")


@pytest.fixture(scope="session")
def cli_postgres(postgres_server: Server) -> Iterator[str]:
    yield from _migrated_on(postgres_server)


@pytest.fixture(scope="session")
def cli_mysql(mariadb_server: Server) -> Iterator[str]:
    yield from _migrated_on(mariadb_server)


@pytest.fixture(params=DATABASES)
def migrated_url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A database with our tables and nothing in them, which ``celers`` uses by default."""
    url: str = request.getfixturevalue(f"cli_{request.param}")
    if request.param == "sqlite":
        shutil.copy(url.removeprefix("sqlite:///"), tmp_path / "celers.db")
        url = f"sqlite:///{tmp_path}/celers.db"
    else:
        request.getfixturevalue(SERVER_FIXTURES[request.param]).start()  # one may have killed it
        _empty(url)
    monkeypatch.setenv("CELERS_DATABASE_URL", url)
    return url


@pytest.fixture
def direct(migrated_url: str) -> Iterator[DirectStore]:
    """The store behind the command line's back."""
    with make_direct_store(migrated_url) as store:
        yield store


def _migrated_on(server: Server) -> Iterator[str]:
    name = f"celers_{uuid4().hex}"
    server.start()
    yield _migrated(server.create_database(name))
    server.start()
    server.drop_database(name)


def _migrated(url: str) -> str:
    with make_direct_store(url) as direct:
        migrate.upgrade(direct)
    return url


def _empty(url: str) -> None:
    tables = [table.name for table in metadata.sorted_tables]
    with closing(databases.connect(url)) as connection, closing(connection.cursor()) as cursor:
        if url.startswith("postgresql"):
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
        else:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")
