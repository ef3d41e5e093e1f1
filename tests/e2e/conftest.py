"""Projects on each database, and all at once for what mostly waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from celers_worker.store import make_direct_store, migrate
from tests.conftest import DATABASES, SERVER_FIXTURES
from tests.e2e.project import Project
from tests.servers import Server
from tests.store.conftest import (
    migrated_mysql,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    pytest_collection_modifyitems,
)

__all__ = [
    "migrated_mysql",
    "migrated_postgres",
    "migrated_sqlite",
    "migrated_url",
    "pytest_collection_modifyitems",
]

Scenario: TypeAlias = Callable[[Project], None]
Everywhere: TypeAlias = Callable[[Scenario], None]


@pytest.fixture
def project(migrated_url: str, tmp_path: Path) -> Iterator[Project]:
    """A project on one database."""
    with Project(migrated_url, tmp_path, make_direct_store(migrated_url)) as made:
        yield made


@pytest.fixture
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Everywhere]:
    """Plays a scenario on every database at the same time: they wait for leases together."""
    with projects_everywhere(request, tmp_path) as projects:
        yield lambda scenario: play(scenario, projects)


@contextmanager
def projects_everywhere(
    request: pytest.FixtureRequest, folder: Path
) -> Iterator[dict[str, Project]]:
    """A project on each database that was asked for."""
    chosen: list[str] = request.config.getoption("db") or DATABASES
    projects: dict[str, Project] = {}
    with ExitStack() as stack:
        for database in chosen:
            url = stack.enter_context(_new_database(request, database, folder))
            place = folder / database
            place.mkdir()
            direct = make_direct_store(url)
            projects[database] = stack.enter_context(Project(url, place, direct))
            migrate.upgrade(direct)
            # So that no worker is stopped while it changes a table: nobody else could go on.
            direct.run(lambda transaction: transaction.keep_partitions(timedelta(days=7)))
        yield projects


def play(scenario: Scenario, projects: dict[str, Project]) -> None:
    """Play *scenario* in each of the *projects* at once, and raise what goes wrong in one."""
    with ThreadPoolExecutor(len(projects)) as threads:
        playing = {
            database: threads.submit(scenario, project) for database, project in projects.items()
        }
    for database, played in playing.items():
        if (error := played.exception()) is not None:
            error.add_note(f"on {database}")
            raise error


@contextmanager
def _new_database(request: pytest.FixtureRequest, database: str, folder: Path) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{folder}/celers.db"
        return
    server: Server = request.getfixturevalue(SERVER_FIXTURES[database])
    name = f"celers_{uuid4().hex}"
    server.start()  # the test before may have killed it
    yield server.create_database(name)
    server.drop_database(name)
