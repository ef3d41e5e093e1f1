"""The database goes away and comes back."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import make_direct_store, migrate
from tests.e2e import handlers
from tests.e2e.project import Project
from tests.servers import PrivateServer, Server
from tests.waiting import eventually_sync

#: Long enough for an outage, so that only the outage is tested.
PATIENT = {"CELERS_WORKER_LEASE": "30s", "CELERS_WORKER_HEARTBEAT_INTERVAL": "1s"}


@pytest.fixture
def server(database_server: Server) -> PrivateServer:
    if not isinstance(database_server, PrivateServer):
        pytest.skip("this server is not ours to kill")
    return database_server


@pytest.fixture
def served(server: PrivateServer, tmp_path: Path) -> Iterator[Project]:
    name = f"celers_{uuid4().hex}"
    url = server.create_database(name)
    direct = make_direct_store(url)
    migrate.upgrade(direct)
    made = Project(url, tmp_path, direct)
    yield made
    made.close()
    server.start()
    server.drop_database(name)


def test_a_worker_stays_up_while_the_database_is_killed_and_works_again_within_five_seconds(
    served: Project, server: PrivateServer
) -> None:
    # T25
    worker = served.worker(settings=PATIENT).ready()
    served.enqueue([handlers.work.call(seconds=0)])
    eventually_sync(lambda: served.states() == {TaskState.COMPLETED: 1})

    server.kill()
    eventually_sync(lambda: worker.said("service failed, will be tried again"))
    server.start()
    back = time.monotonic()
    served.direct.engine.dispose()
    served.enqueue([handlers.work.call(seconds=0)])

    eventually_sync(lambda: served.states() == {TaskState.COMPLETED: 2}, within=20)
    assert time.monotonic() - back <= 5
    assert worker.process.poll() is None


def test_an_outcome_that_meets_an_outage_is_written_later_and_not_run_again(
    served: Project, server: PrivateServer, tmp_path: Path
) -> None:
    # T29
    gate = tmp_path / "go"
    [task] = served.enqueue([handlers.wait_for_file.call(path=str(gate))])
    worker = served.worker(settings=PATIENT).ready()
    eventually_sync(lambda: served.history())

    server.kill()
    gate.touch()
    eventually_sync(
        lambda: [
            line
            for line in worker.said("service failed, will be tried again")
            if line["service"] == "settler"
        ],
        within=20,
    )
    server.start()
    served.direct.engine.dispose()

    eventually_sync(lambda: served.task(task).state is TaskState.COMPLETED, within=20)
    assert [note.what for note in served.history()] == ["start", "end"]
    assert not worker.said("outcome refused: the lease was lost")
