"""A real worker behind a real PgBouncer in transaction mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import make_direct_store, migrate
from tests.e2e import handlers
from tests.e2e.project import Project
from tests.poolers import PgBouncer
from tests.servers import Server
from tests.waiting import eventually_sync

#: Long enough for an outage, so that only the outage is tested.
BEHIND = {
    "CELERS_DATABASE_POOLER": "transaction",
    "CELERS_WORKER_LEASE": "30s",
    "CELERS_WORKER_HEARTBEAT_INTERVAL": "1s",
}


@pytest.fixture
def pooler(postgres_server: Server) -> Iterator[PgBouncer]:
    postgres_server.start()
    with PgBouncer(postgres_server) as started:
        yield started


@pytest.fixture
def project(postgres_server: Server, pooler: PgBouncer, tmp_path: Path) -> Iterator[Project]:
    """Its workers go through the pooler, the test itself does not."""
    name = f"celers_{uuid4().hex}"
    url = postgres_server.create_database(name)
    direct = make_direct_store(url)
    migrate.upgrade(direct)
    with Project(pooler.url_of(url), tmp_path, direct) as made:
        yield made
    postgres_server.drop_database(name)


def test_tasks_run_and_an_outcome_that_meets_its_restart_is_written_later(
    project: Project, pooler: PgBouncer, tmp_path: Path
) -> None:
    gate = tmp_path / "go"
    worker = project.worker(settings=BEHIND).ready()
    project.enqueue([handlers.work.call(seconds=0) for _ in range(200)])
    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 200}, within=40)

    [task] = project.enqueue([handlers.wait_for_file.call(path=str(gate))])
    eventually_sync(lambda: project.task(task).state is TaskState.PROCESSING, within=20)
    pooler.kill()
    gate.touch()
    eventually_sync(
        lambda: [
            line
            for line in worker.said("service failed, will be tried again")
            if line["service"] == "settler"
        ],
        within=30,
    )
    pooler.start()
    eventually_sync(lambda: project.task(task).state is TaskState.COMPLETED, within=30)
    project.enqueue([handlers.work.call(seconds=0) for _ in range(20)])
    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 221}, within=30)

    assert worker.process.poll() is None
    assert not worker.said("outcome refused: the lease was lost")
    assert not worker.said("a connection pooler seems to stand before the database")
    worker.process.terminate()
    assert worker.ended(within=40) == 0


def test_a_worker_that_was_not_told_of_it_ends_and_names_the_setting(project: Project) -> None:
    worker = project.worker(settings={})
    assert worker.ended(within=60) == 2
    assert 'set pooler = "transaction" in [database]' in worker.log_file.read_text()
