import os
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests import servers
from tests.servers import Server

SERVER_FIXTURES = {"postgres": "postgres_server", "mysql": "mariadb_server"}
DATABASES = ["sqlite", *SERVER_FIXTURES]
#: That of $CELERS_TEST_DATABASE_URL, for the tests of the store.
OTHER = "other"

# Else each process that a test starts compiles the package anew, for half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


#: The fixtures and parameters that say which database a test is about.
_FIXTURES = ("database_url", "migrated_url", "database_server", "database", "database_of_world")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--db",
        action="append",
        choices=[*DATABASES, OTHER],
        help="run the database tests on this one only; may be repeated (default: all three)",
    )
    parser.addoption(
        "--faults",
        choices=["quick", "full"],
        default="quick",
        help="how much the fault suite does to the workers",
    )
    parser.addoption(
        "--faults-notes",
        type=Path,
        metavar="FILE",
        help="where the fault suite notes what it did, for its scoreboard",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = set(config.getoption("db") or DATABASES)
    unwanted = [item for item in items if not _databases_of(item) <= chosen]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]


def _databases_of(item: pytest.Item) -> set[str]:
    fixtures = getattr(item, "fixturenames", [])
    direct = {name for name, fixture in SERVER_FIXTURES.items() if fixture in fixtures}
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    marked = {mark.args[0] for mark in item.iter_markers("database")}
    return (
        direct
        | marked
        | {str(parameters[fixture]) for fixture in _FIXTURES if fixture in parameters}
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with servers.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    with servers.mariadb_server() as server:
        yield server


@pytest.fixture(params=SERVER_FIXTURES)
def database_server(request: pytest.FixtureRequest) -> Server:
    """The server itself, for tests that kill it; they need not bring it back."""
    server: Server = request.getfixturevalue(SERVER_FIXTURES[request.param])
    server.start()  # the test before may have killed it
    return server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new, empty database; `parametrize("database_url", ["postgres"], indirect=True)` narrows."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/celers.db"
        return
    server: Server = request.getfixturevalue(SERVER_FIXTURES[request.param])
    name = f"celers_{uuid4().hex}"
    server.start()  # the test before may have killed it
    yield server.create_database(name)
    server.start()
    server.drop_database(name)


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, whose modules nobody sees afterwards."""
    place = tmp_path / "workplace"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
