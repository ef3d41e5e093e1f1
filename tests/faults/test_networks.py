"""Between workers and their database, the network does what networks do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select

from celers_worker.store.schema import archive
from celers_worker.store.transaction import Transaction
from tests.faults import handlers
from tests.faults.conftest import Scale
from tests.faults.proxy import Proxy
from tests.faults.server import database_of
from tests.faults.stage import PATIENCE, Stage
from tests.faults.test_outages import PATIENT, work_goes_on
from tests.faults.test_storms import SEED, load, pause
from tests.servers import PrivateServer
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("networks")]


@pytest.fixture
def proxy(stage: Stage, private_server: PrivateServer) -> Iterator[Proxy]:
    """Between the processes of the stage and the server; the test itself goes past it."""
    with Proxy("127.0.0.1", private_server.port) as made:
        name = urlsplit(stage.url).path.lstrip("/")
        stage.address = database_of(private_server, name, made.port)
        yield made
        made.mode("pass")


def test_connections_that_break_hang_or_fall_silent_lose_nothing(
    stage: Stage, proxy: Proxy, scale: Scale
) -> None:
    chance = random.Random(SEED)
    load(stage, scale(200, 12_000))
    worker = stage.hire("--concurrency", "10", settings=PATIENT).ready()
    producer = stage.producer(batches=10_000, size=3)
    # Longer than a call may take, so that deadlines are met and not only waits.
    faults = {"reset": 0.2, "black_hole": 4.0, "half_open": 4.0, "silent": 1.0, "delay": 2.0}
    for number in range(scale(1, 6)):
        for mode, seconds in chance.sample(sorted(faults.items()), len(faults)):
            proxy.mode(mode, milliseconds=chance.randrange(20, 200))
            if mode == "silent":
                proxy.mode("reset")  # so that new ones are opened, which nobody answers
                proxy.mode("silent")
                seconds = 4.0 if number == 0 else seconds
            pause(seconds)
            proxy.mode("pass")
            work_goes_on(stage)
            stage.board.injected(f"network: {mode.replace('_', ' ')}", stage.database)
    producer.kill()
    producer.wait(20)
    stage.finished()
    assert worker.process.poll() is None
    stage.settle_up()


def test_an_answer_that_never_comes_neither_repeats_nor_loses_what_it_was_about(
    stage: Stage, proxy: Proxy, scale: Scale
) -> None:
    chance = random.Random(SEED)
    worker = stage.hire("--concurrency", "10", settings=PATIENT).ready()
    producer = stage.producer(batches=10_000, size=2)
    commit = b"COMMIT".hex()
    for number in range(scale(20, 150)):
        stage.send([handlers.stumble.call(times=chance.randrange(2)) for _ in range(3)])
        stage.send([handlers.pay.call()], into=stage.paid)
        dropped = proxy.dropped
        # One by its text, the next whatever it is: a claim, a heartbeat, a settle, an enqueue.
        text = commit if number % 2 else ""
        proxy.mode("drop_reply", text=text, nth=chance.randrange(1, 12))
        eventually_sync(lambda dropped=dropped: proxy.dropped > dropped, within=PATIENCE)
    stage.board.injected("network: reply never arrived", stage.database, proxy.dropped)
    producer.kill()
    producer.wait(20)
    proxy.mode("pass")
    stage.finished()
    assert worker.process.poll() is None
    # The lease never ended: whatever was not answered was found out, not waited for.
    assert {run.how for run in stage.runs()} <= {"end", "failed", "cut"}
    assert not stage.direct.run(_crashed)
    stage.settle_up()


def _crashed(transaction: Transaction) -> int:
    crashed = select(func.count()).select_from(archive).where(archive.c.crash_count > 0)
    return int(transaction.connection.execute(crashed).scalar_one())
