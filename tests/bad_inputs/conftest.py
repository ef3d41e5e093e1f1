"""A worker that works all along, and a look at the database before and after each bad input."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select

from celers_worker.core.task import TaskState
from celers_worker.store import make_direct_store, migrate
from celers_worker.store.schema import metadata, tasks, upkeep, workers
from celers_worker.store.transaction import Transaction
from tests.conftest import DATABASES, SERVER_FIXTURES
from tests.e2e import handlers
from tests.e2e.project import QUICK, Project
from tests.servers import Server
from tests.waiting import eventually_sync

#: What a worker writes about itself, all the time.
_OF_WORKERS = {workers.name, upkeep.name}


class World:
    """A database with a worker: a bad input must leave both as they are."""

    def __init__(self, project: Project) -> None:
        self.project = project

    @property
    def url(self) -> str:
        return self.project.url

    def canary(self) -> None:
        """A task that is enqueued now completes."""
        [task] = self.project.enqueue([handlers.work.call(seconds=0.0)])
        done = TaskState.COMPLETED
        eventually_sync(lambda: self.project.task(task).state is done, within=45)

    def forget(self, row: UUID) -> None:
        """Delete a live row, so that no later test meets it."""
        self.project.direct.run(
            lambda transaction: transaction.connection.execute(
                delete(tasks).where(tasks.c.id == row)
            )
        )

    def checksum(self) -> str:
        """Of every row of every table of ours, but for what workers say of themselves."""

        def of(transaction: Transaction) -> str:
            summed = hashlib.sha256()
            for table in metadata.sorted_tables:
                if table.name not in _OF_WORKERS:
                    rows = transaction.connection.execute(select(table)).all()
                    for row in sorted(map(repr, rows)):
                        summed.update(row.encode(errors="replace"))
            return summed.hexdigest()

        return self.project.direct.run(of)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group(f"bad inputs on {name}"))
        for name in DATABASES
    ],
)
def database_of_world(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, database_of_world: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        if database_of_world == "sqlite":
            url = f"sqlite:///{folder}/celers.db"
        else:
            server: Server = request.getfixturevalue(SERVER_FIXTURES[database_of_world])
            server.start()
            name = f"celers_{uuid4().hex}"
            url = server.create_database(name)
            stack.callback(server.drop_database, name)
            stack.callback(server.start)
        direct = make_direct_store(url)
        migrate.upgrade(direct)
        project = stack.enter_context(Project(url, folder, direct))
        project.worker(settings=QUICK).ready()
        made = World(project)
        made.canary()
        yield made


@pytest.fixture
def unharmed(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The same before and after: what is stored, and that a canary completes.

    The one after a bad input is also the one before the next.
    """
    before = world.checksum()
    monkeypatch.setenv("CELERS_DATABASE_URL", world.url)
    yield world
    assert world.checksum() == before, "a bad input changed the database"
    world.canary()
