"""The database is killed, frozen, made read-only, and its sessions are ended."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.faults import handlers
from tests.faults.conftest import Scale
from tests.faults.scoreboard import AFTER_OUTAGE
from tests.faults.server import end_sessions, frozen, read_only, sessions
from tests.faults.stage import PATIENCE, Stage
from tests.faults.test_storms import SEED, load, pause
from tests.servers import PrivateServer
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("outages")]
#: Promise 6: after the database answers again, in seconds; and what a loaded machine adds to it.
BACK, SLOW = 5.0, 3
#: A lease that outlasts an outage, so that nothing has a reason to run twice.
PATIENT = {"CELERS_WORKER_LEASE": "60s"}


def work_goes_on(stage: Stage) -> float:
    """Wait until a task completes that was not there before; how long that took."""
    began = time.monotonic()
    eventually_sync(lambda: stage.try_to_send([handlers.work.call()]), within=PATIENCE)
    completed = stage.completed()
    eventually_sync(lambda: stage.completed() > completed, within=PATIENCE)
    seconds = time.monotonic() - began
    stage.board.recovered(AFTER_OUTAGE, seconds, bound=BACK)
    assert seconds < BACK * SLOW
    return seconds


def test_a_server_that_is_killed_again_and_again_loses_nothing(
    stage: Stage, private_server: PrivateServer, scale: Scale
) -> None:
    chance = random.Random(SEED)
    load(stage, scale(300, 30_000))
    workers = [stage.hire("--concurrency", "10").ready() for _ in range(2)]
    producer = stage.producer(batches=10_000, size=3)
    for number in range(scale(3, 15)):
        pause(chance.uniform(0.5, 1.5))
        if number % 3 == 2:
            private_server.stop()
        else:
            private_server.kill()
        pause(chance.uniform(0.0, 1.0))
        private_server.start()
        work_goes_on(stage)
    stage.board.injected("database server killed or restarted", stage.database, scale(3, 15))
    assert [worker.process.poll() for worker in workers] == [None, None]
    assert producer.poll() is None
    producer.kill()
    producer.wait(20)
    stage.settle_up()


def test_a_server_that_freezes_holds_nobody_up_for_longer_than_a_call_may_take(
    stage: Stage, private_server: PrivateServer, scale: Scale
) -> None:
    load(stage, 100)
    worker = stage.hire("--concurrency", "10", settings=PATIENT).ready()
    for _ in range(scale(2, 6)):
        stage.send([handlers.work.call(seconds=0.01) for _ in range(50)])
        with frozen(private_server):
            failed = len(worker.log)
            eventually_sync(lambda failed=failed: len(worker.log) > failed, within=PATIENCE)
        work_goes_on(stage)
    stage.board.injected("database server frozen", stage.database, scale(2, 6))
    stage.finished()
    assert {run.attempt for run in stage.runs() if run.how == "end"} <= {1, 2}
    stage.settle_up()


def test_a_producer_without_a_loop_waits_for_a_frozen_server_no_longer_than_a_call_may_take(
    stage: Stage, private_server: PrivateServer
) -> None:
    stage.send([handlers.work.call()])  # so that there is a connection, and no refusal to connect
    with frozen(private_server):
        began = time.monotonic()
        assert not stage.try_to_send([handlers.work.call()])
        # Two tries of three seconds and one more each; without a deadline it would be for ever.
        assert time.monotonic() - began < 10 * SLOW
    stage.board.injected("database server frozen", stage.database)
    stage.settle_up()


def test_a_worker_told_to_stop_while_the_server_is_frozen_stops_all_the_same(
    stage: Stage, private_server: PrivateServer
) -> None:
    load(stage, 100)
    stage.send([handlers.work.call(seconds=8) for _ in range(3)])
    settings = {"CELERS_WORKER_GRACE": "1s", "CELERS_WORKER_LEASE": "15s"}
    worker = stage.hire("--concurrency", "10", settings=settings).ready()
    eventually_sync(lambda: stage.runs(), within=PATIENCE)
    with frozen(private_server):
        worker.process.send_signal(signal.SIGTERM)
        # The grace, the calls under way, the writing of outcomes and the good-bye, each bounded.
        assert worker.process.wait(60) == 0
    stage.board.injected("SIGTERM while the server is frozen", stage.database)
    stage.settle_up()


def test_a_server_that_refuses_writes_for_a_while_costs_no_task_an_attempt(
    stage: Stage, private_server: PrivateServer, scale: Scale
) -> None:
    worker = stage.hire("--concurrency", "10", settings=PATIENT).ready()
    for _ in range(scale(2, 10)):
        stage.send([handlers.work.call(seconds=0.5) for _ in range(10)])
        began = len(stage.runs())
        eventually_sync(lambda began=began: len(stage.runs()) > began, within=PATIENCE)
        with read_only(private_server):
            eventually_sync(lambda: not stage.try_to_send([handlers.work.call()]), within=PATIENCE)
            pause(1.0)
        stage.direct.engine.dispose()
        work_goes_on(stage)
    stage.board.injected("server made read-only", stage.database, scale(2, 10))
    stage.finished()
    assert worker.process.poll() is None
    assert {run.attempt for run in stage.runs()} == {1}
    stage.settle_up()


def test_sessions_that_are_ended_all_the_time_are_opened_anew_and_none_is_left_behind(
    stage: Stage, private_server: PrivateServer, scale: Scale
) -> None:
    workers = [stage.hire("--concurrency", "10", settings=PATIENT).ready() for _ in range(2)]
    stage.direct.engine.dispose()
    before = sessions(private_server, stage.url)
    ended = 0
    load(stage, scale(300, 15_000))
    producer = stage.producer(batches=10_000, size=3)
    for _ in range(scale(8, 60)):
        pause(0.2)
        ended += end_sessions(private_server, stage.url)
        stage.direct.engine.dispose()
    producer.kill()
    producer.wait(20)
    work_goes_on(stage)
    stage.board.injected("session ended by the server", stage.database, ended)
    stage.finished()
    assert [worker.process.poll() for worker in workers] == [None, None]
    # But for handlers whose own transaction was ended with its session: that is their failure.
    others = [run for run in stage.runs() if run.task not in stage.paid]
    assert {run.attempt for run in others if run.how == "end"} <= {1, 2}
    stage.direct.engine.dispose()
    # At rest a worker may have opened what it had not needed before: its pool of five, as many for
    # handlers, on PostgreSQL three it holds and one that listens; no more.
    assert sessions(private_server, stage.url) <= max(before, 2 * 14)
    stage.settle_up()
    stage.direct.engine.dispose()
    eventually_sync(lambda: sessions(private_server, stage.url) == 0, within=PATIENCE)
