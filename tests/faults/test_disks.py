"""The disk is full; then there is room again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults import handlers
from tests.faults.conftest import skip_unless_chosen, stage_on
from tests.faults.nursery import Nursery
from tests.faults.scoreboard import Scoreboard
from tests.faults.server import filled_up, may_mount, small_disk
from tests.faults.stage import PATIENCE, Stage
from tests.faults.test_outages import PATIENT, work_goes_on
from tests.servers import MariaDBServer, PostgresServer, PrivateServer
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("disks")]

#: What a server writes before it has a table, and some room besides.
MEGABYTES = {"postgres": 120, "mysql": 300, "sqlite": 12}
SERVERS: dict[str, type[PrivateServer]] = {"postgres": PostgresServer, "mysql": MariaDBServer}


@pytest.fixture(params=["postgres", "mysql", "sqlite"])
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A small file system; the test's database is on it."""
    skip_unless_chosen(request, request.param)
    # Where whoever runs the server may look: the folders of tests are root's alone.
    with tempfile.TemporaryDirectory(prefix="celers-disk-") as place:
        Path(place).chmod(0o755)
        disk = Path(place) / "disk"
        if not may_mount(disk):
            pytest.skip("only root may mount a small file system, and not in every container")
        with small_disk(disk, MEGABYTES[request.param]):
            yield disk


class Cramped(NamedTuple):
    """A stage whose database is on a small disk; and its server, if it has one."""

    stage: Stage
    server: PrivateServer | None

    def server_answers(self) -> bool:
        """Start the server again if the full disk has ended it, as PostgreSQL's WAL may."""
        if self.server is not None:
            self.server.start()
        return self.stage.try_to_send([handlers.work.call()])


@pytest.fixture
def cramped(
    request: pytest.FixtureRequest,
    disk: Path,
    tmp_path: Path,
    nursery: Nursery,
    board: Scoreboard,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cramped]:
    kind = SERVERS.get(request.node.callspec.params["disk"])
    server = None
    with ExitStack() as stack:
        if kind is not None:
            monkeypatch.setattr("tempfile.tempdir", str(disk))
            server = kind()
            monkeypatch.undo()
            stack.enter_context(server)
        stage = stage_on(server, tmp_path / "stage", nursery, board, place=disk)
        yield Cramped(stack.enter_context(stage), server)


def test_a_full_disk_stops_the_work_and_room_starts_it_again(disk: Path, cramped: Cramped) -> None:
    stage = cramped.stage
    stage.send([handlers.work.call(seconds=0.01) for _ in range(200)])
    worker = stage.hire("--concurrency", "10", settings=PATIENT).ready()
    stage.finished()
    with filled_up(disk):
        eventually_sync(lambda: fills(stage), within=PATIENCE)
    stage.board.injected("disk full", stage.database)
    eventually_sync(cramped.server_answers, within=PATIENCE)
    work_goes_on(stage)
    stage.finished()
    assert worker.process.poll() is None
    stage.settle_up()


def fills(stage: Stage) -> bool:
    """Enqueue what takes room until it is refused."""
    filler = [handlers.work.with_(metadata={"filler": "x" * 8_000}).call() for _ in range(50)]
    return not stage.try_to_send(filler)
