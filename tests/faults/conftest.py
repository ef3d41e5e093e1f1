"""Stages on each database, the nursery, and how much of everything there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from celers_worker.store import StoreOptions, make_direct_store, migrate
from tests.conftest import DATABASES, SERVER_FIXTURES
from tests.faults.nursery import Nursery
from tests.faults.scoreboard import Scoreboard
from tests.faults.stage import Stage
from tests.servers import PrivateServer, Server

#: A producer of these tests does not wait for longer: it keeps account of what it does not know.
IMPATIENT = StoreOptions(
    call_timeout=timedelta(seconds=3), connect_timeout=timedelta(seconds=2), pool_size=4
)

Scenario: TypeAlias = Callable[[Stage], None]
Play: TypeAlias = Callable[[Scenario], None]


@dataclass(frozen=True)
class Scale:
    """How much: the same code is quick in CI and thorough at night."""

    full: bool

    def __call__(self, quick: int, full: int) -> int:
        return full if self.full else quick


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    return Scale(full=request.config.getoption("faults") == "full")


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> Scoreboard:
    """Notes nothing unless ``--faults-notes`` says where."""
    return Scoreboard(request.config.getoption("faults_notes"))


@pytest.fixture
def stages(
    request: pytest.FixtureRequest, tmp_path: Path, nursery: Nursery, board: Scoreboard
) -> Iterator[dict[str, Stage]]:
    """A stage on each database that was asked for."""
    chosen: list[str] = request.config.getoption("db") or DATABASES
    with ExitStack() as stack:
        made = {
            database: stack.enter_context(
                stage_on(server_of(request, database), tmp_path / database, nursery, board)
            )
            for database in chosen
        }
        yield made


@pytest.fixture
def everywhere(stages: dict[str, Stage]) -> Play:
    """Plays a scenario on every database at the same time."""
    return lambda scenario: play(scenario, stages)


@pytest.fixture
def private_server(database_server: Server) -> PrivateServer:
    """A server of our own, to be killed and frozen; PostgreSQL, then MariaDB."""
    if not isinstance(database_server, PrivateServer):
        pytest.skip("this server is not ours to harm")
    return database_server


@pytest.fixture
def stage(
    private_server: PrivateServer, tmp_path: Path, nursery: Nursery, board: Scoreboard
) -> Iterator[Stage]:
    """A stage on ``private_server``."""
    with stage_on(private_server, tmp_path / "stage", nursery, board) as made:
        yield made


def skip_unless_chosen(request: pytest.FixtureRequest, database: str) -> None:
    """Skip what starts a server of its own, if ``--db`` asks for others."""
    if database not in (request.config.getoption("db") or DATABASES):
        pytest.skip("another database was asked for")


def server_of(request: pytest.FixtureRequest, database: str) -> Server | None:
    """The server of that database, running; None for SQLite."""
    if database == "sqlite":
        return None
    server: Server = request.getfixturevalue(SERVER_FIXTURES[database])
    server.start()  # the test before may have killed it
    return server


@contextmanager
def stage_on(
    server: Server | None,
    folder: Path,
    nursery: Nursery,
    board: Scoreboard,
    *,
    place: Path | None = None,
) -> Iterator[Stage]:
    """A stage in a new database of *server*, or in a file, which is at *place* or in *folder*."""
    folder.mkdir(exist_ok=True)
    name = f"celers_{uuid4().hex}"
    file = f"sqlite:///{place or folder}/celers.db"
    url = file if server is None else server.create_database(name)
    with make_direct_store(url) as patient:
        migrate.upgrade(patient)
        # So that no worker is stopped while it changes a table: nobody else could go on.
        patient.run(lambda transaction: transaction.keep_partitions(timedelta(days=7)))
    # A file has no server that could freeze; what is waited for is the turn of other writers.
    direct = make_direct_store(url, IMPATIENT if server else StoreOptions())
    with Stage.built(url, folder, direct, nursery, board) as stage:
        yield stage
    if server is not None:
        server.start()
        server.drop_database(name)


def play(scenario: Scenario, stages: dict[str, Stage]) -> None:
    """Play *scenario* on each of the *stages* at once, and raise what goes wrong on one."""
    with ThreadPoolExecutor(len(stages)) as threads:
        playing = {name: threads.submit(scenario, stage) for name, stage in stages.items()}
    problems: Sequence[tuple[str, BaseException]] = [
        (name, error)
        for name, played in playing.items()
        if (error := played.exception()) is not None
    ]
    for name, error in problems:
        error.add_note(f"on {name}")
    if problems:
        raise problems[0][1]
