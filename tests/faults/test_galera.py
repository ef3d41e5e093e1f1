"""Workers on two nodes of a Galera cluster: both take writes, and neither locks the other out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Scale, skip_unless_chosen, stage_on
from tests.faults.galera import LIBRARY, Cluster
from tests.faults.nursery import Nursery
from tests.faults.scoreboard import Scoreboard
from tests.faults.server import database_of, frozen
from tests.faults.stage import PATIENCE, Stage
from tests.faults.test_outages import PATIENT, work_goes_on
from tests.faults.test_storms import load, pause
from tests.waiting import eventually_sync

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("galera"),
    pytest.mark.skipif(not LIBRARY.exists(), reason="galera-4 is not installed"),
]


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    skip_unless_chosen(request, "mysql")
    with Cluster() as made:
        yield made


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path, nursery: Nursery, board: Scoreboard) -> Iterator[Stage]:
    with stage_on(cluster.nodes[0], tmp_path / "stage", nursery, board) as made:
        yield made


def test_workers_on_two_nodes_share_the_work_and_outlive_the_loss_of_either(
    cluster: Cluster, stage: Stage, scale: Scale
) -> None:
    load(stage, scale(200, 3_000))
    name = urlsplit(stage.url).path.lstrip("/")
    workers, producers = [], []
    for node in cluster.nodes:
        stage.address = database_of(node, name)
        workers.append(stage.hire("--concurrency", "5", settings=PATIENT).ready())
        producers.append(stage.producer(batches=10_000, size=2))
    eventually_sync(
        lambda: {run.process for run in stage.runs()} == {worker.process.pid for worker in workers},
        within=PATIENCE,
    )
    for node in scale(1, 3) * cluster.nodes[::-1]:
        with frozen(node):
            pause(6)  # until it counts as lost; the second node then takes no statement either
        eventually_sync(lambda: all(one.is_synced for one in cluster.nodes), within=PATIENCE)
        work_goes_on(stage)
        stage.board.injected("Galera node lost", stage.database)
    for producer in producers:
        producer.kill()
        producer.wait(20)
    stage.finished()
    assert [worker.process.poll() for worker in workers] == [None, None]
    stage.settle_up()
