"""The clocks of workers are wrong; the database's decides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from celers_worker.store import make_direct_store
from celers_worker.store.postgres import partitions
from celers_worker.store.transaction import Transaction
from tests.faults import handlers
from tests.faults.conftest import stage_on
from tests.faults.nursery import Nursery
from tests.faults.scoreboard import Scoreboard
from tests.faults.stage import LEASE, PATIENCE, Stage
from tests.faults.test_storms import load, pause
from tests.servers import PrivateServer
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("clocks")]
LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
needs_faketime = pytest.mark.skipif(
    LIBRARY is None, reason="libfaketime is not installed: apt-get install faketime"
)


class WrongClock:
    """A nursery whose processes have a clock that is wrong by what a file says."""

    def __init__(self, folder: Path, name: str, offset: str) -> None:
        self._file = folder / f"clock-{name}"
        self.set(offset)
        self.nursery = Nursery(
            {
                "LD_PRELOAD": str(LIBRARY),
                "FAKETIME_TIMESTAMP_FILE": str(self._file),
                "FAKETIME_NO_CACHE": "1",
                # Time that passes is what loops and deadlines count on, as on any machine.
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        )

    def set(self, offset: str) -> None:
        """Step the clock, as in ``-90s``."""
        self._file.write_text(offset)


@pytest.fixture
def clocks(tmp_path: Path) -> Iterator[list[WrongClock]]:
    with ExitStack() as stack:
        made = [WrongClock(tmp_path, "fast", "+600s"), WrongClock(tmp_path, "slow", "-600s")]
        for clock in made:
            stack.enter_context(clock.nursery)
        yield made


@needs_faketime
def test_workers_ten_minutes_fast_and_slow_start_nothing_early_and_take_nothing_away(
    stage: Stage, clocks: list[WrongClock]
) -> None:
    fast, slow = clocks
    load(stage, 60)
    stage.send([handlers.work.call(seconds=2 * LEASE) for _ in range(3)])
    enqueued = time.monotonic_ns()
    later = stage.send([handlers.work.with_(delay="8s").call() for _ in range(3)])
    workers = [stage.hire("--concurrency", "5", nursery=clock.nursery).ready() for clock in clocks]
    pause(1.0)
    fast.set("+510s")  # a step back by 90 s
    stage.send([handlers.work.call() for _ in range(20)])
    pause(1.0)
    slow.set("+30s")
    stage.finished()
    stage.board.injected("clock wrong, or stepped", stage.database, 4)
    runs = stage.runs()
    # Eight seconds by the database's clock, however long it took to say so.
    assert all(run.since - enqueued > 7.9e9 for run in runs if run.task in later)
    assert {run.how for run in runs} <= {"end", "failed"}
    assert [worker.process.poll() for worker in workers] == [None, None]
    stage.settle_up()


@needs_faketime
def test_a_worker_a_year_fast_drops_no_part_of_the_archive(
    postgres_server: PrivateServer, tmp_path: Path, nursery: Nursery, board: Scoreboard
) -> None:
    postgres_server.start()
    clock = WrongClock(tmp_path, "year", "+366d")
    with clock.nursery, stage_on(postgres_server, tmp_path / "stage", nursery, board) as stage:
        stage.send([handlers.work.call() for _ in range(20)])
        settings = {"CELERS_WORKER_JANITOR_INTERVAL": "100ms"}
        stage.hire("--concurrency", "5", nursery=clock.nursery, settings=settings).ready()
        stage.finished()
        eventually_sync(lambda: stage.direct.run(_upkeep_done), within=PATIENCE)
        today = datetime.now(UTC).date()
        with make_direct_store(stage.url) as direct:
            names = set(
                direct.run(
                    lambda transaction: (
                        transaction.connection.execute(partitions.PARTITIONS).scalars().all()
                    )
                )
            )
        assert partitions.partition_name(today) in names
        assert partitions.partition_name(today + timedelta(days=366)) not in names
        stage.board.injected("clock wrong, or stepped", stage.database)
        stage.settle_up()


def _upkeep_done(transaction: Transaction) -> bool:
    done = transaction.connection.execute(text("SELECT count(*) FROM celers_upkeep"))
    return bool(done.scalar_one())
