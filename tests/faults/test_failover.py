"""A standby takes over, and one URL with both servers leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from celers_worker.store import make_direct_store
from tests.faults import handlers
from tests.faults.conftest import IMPATIENT, skip_unless_chosen, stage_on
from tests.faults.nursery import Nursery
from tests.faults.scoreboard import Scoreboard
from tests.faults.server import Standby, execute_as_root, pause_replication, wait_for_standbys
from tests.faults.stage import PATIENCE, Stage
from tests.faults.test_outages import work_goes_on
from tests.servers import PostgresServer
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("failover")]


class Couple(NamedTuple):
    """A primary, a standby that follows it, and a stage whose workers know both."""

    primary: PostgresServer
    standby: Standby
    stage: Stage

    def move_the_test(self) -> None:
        """Look at the standby from now on, as the workers do by themselves."""
        self.stage.direct.close()
        self.stage.direct = make_direct_store(self.stage.address or "", IMPATIENT)


@pytest.fixture
def couple(
    request: pytest.FixtureRequest, tmp_path: Path, nursery: Nursery, board: Scoreboard
) -> Iterator[Couple]:
    skip_unless_chosen(request, "postgres")
    with ExitStack() as stack:
        primary = stack.enter_context(PostgresServer(durable=True))
        standby = stack.enter_context(Standby(primary))
        eventually_sync(standby.follows, within=PATIENCE)
        stage = stack.enter_context(stage_on(primary, tmp_path / "stage", nursery, board))
        name = urlsplit(stage.url).path.lstrip("/")
        hosts = f"host=127.0.0.1:{primary.port}&host=127.0.0.1:{standby.port}"
        stage.address = f"postgresql://celers@/{name}?{hosts}"
        yield Couple(primary, standby, stage)
        primary.start()  # to be cleared away, it must take writes, and wait for nobody
        execute_as_root(primary, "ALTER SYSTEM RESET ALL")
        execute_as_root(primary, "SELECT pg_reload_conf()")


def load(stage: Stage) -> None:
    stage.send([handlers.work.call(seconds=0.05) for _ in range(200)])
    stage.send([handlers.pay.call() for _ in range(10)], into=stage.paid)


def caught_up(couple: Couple) -> bool:
    found = "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication"
    return execute_as_root(couple.primary, found) == [(True,)]


def test_when_a_synchronous_standby_takes_over_nothing_is_lost(couple: Couple) -> None:
    stage = couple.stage
    wait_for_standbys(couple.primary)
    load(stage)
    worker = stage.hire("--concurrency", "10").ready()
    producer = stage.producer(batches=10_000, size=3)
    eventually_sync(lambda: len(stage.runs()) > 50, within=PATIENCE)

    couple.primary.kill()
    couple.standby.promote()
    couple.move_the_test()

    work_goes_on(stage)
    assert (worker.process.poll(), producer.poll()) == (None, None)
    producer.kill()
    producer.wait(20)
    stage.board.injected("failover to a synchronous standby", stage.database)
    stage.settle_up()


def test_a_worker_leaves_an_old_primary_that_lives_on_and_takes_no_writes(couple: Couple) -> None:
    # What E7 of many drivers' trackers is about: a connection that answers, and is no use.
    stage = couple.stage
    load(stage)
    worker = stage.hire("--concurrency", "10").ready()
    eventually_sync(lambda: len(stage.runs()) > 50, within=PATIENCE)
    execute_as_root(couple.primary, "ALTER SYSTEM SET default_transaction_read_only = on")
    execute_as_root(couple.primary, "SELECT pg_reload_conf()")
    eventually_sync(lambda: caught_up(couple), within=PATIENCE)

    couple.standby.promote()
    couple.move_the_test()

    work_goes_on(stage)
    assert worker.process.poll() is None
    stage.board.injected("failover, and the old primary read-only", stage.database)
    stage.settle_up()


def test_when_an_asynchronous_standby_takes_over_only_what_it_never_heard_of_is_lost(
    couple: Couple,
) -> None:
    stage = couple.stage
    load(stage)
    worker = stage.hire("--concurrency", "10").ready()
    stage.finished()
    eventually_sync(lambda: caught_up(couple), within=PATIENCE)
    pause_replication(couple.standby)
    unheard = stage.send([handlers.work.with_(delay="1h").call() for _ in range(5)])

    couple.primary.kill()
    couple.standby.kill()  # its receiver cannot be told to go on: it is frozen
    couple.standby.start()
    couple.standby.promote()
    couple.move_the_test()

    work_goes_on(stage)
    assert worker.process.poll() is None
    # That is what asynchronous means, and all that it means.
    stage.acknowledged.difference_update(unheard)
    stage.board.injected("failover to an asynchronous standby", stage.database)
    stage.settle_up()
