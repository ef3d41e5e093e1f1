"""The connection that listens dies, hangs or hears nonsense: tasks start all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from celers_worker.store.transaction import Transaction
from tests.faults import handlers
from tests.faults.conftest import Scale, server_of, stage_on
from tests.faults.nursery import Nursery
from tests.faults.proxy import Proxy
from tests.faults.scoreboard import Scoreboard
from tests.faults.server import database_of, execute_as_root
from tests.faults.stage import PATIENCE, Stage
from tests.servers import PrivateServer
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("networks")]
LISTENS = "query ILIKE 'LISTEN%' AND datname = '{name}'"


@pytest.fixture
def server(request: pytest.FixtureRequest, postgres_server: PrivateServer) -> PrivateServer:
    if not isinstance(postgres_server, PrivateServer):
        pytest.skip("this server is not ours to harm")
    server_of(request, "postgres")
    return postgres_server


@pytest.fixture
def stage(
    server: PrivateServer,
    tmp_path: Path,
    nursery: Nursery,
    board: Scoreboard,
) -> Iterator[Stage]:
    with stage_on(server, tmp_path / "stage", nursery, board) as made:
        yield made


def one_task_takes(stage: Stage) -> float:
    began = time.monotonic()
    completed = stage.completed()
    stage.send([handlers.work.call()])
    eventually_sync(lambda: stage.completed() > completed, within=PATIENCE)
    return time.monotonic() - began


def test_without_its_listener_a_worker_finds_tasks_by_looking(
    stage: Stage, server: PrivateServer, scale: Scale
) -> None:
    worker = stage.hire("--concurrency", "10").ready()
    who = LISTENS.format(name=urlsplit(stage.url).path.lstrip("/"))
    listening = f"SELECT pid FROM pg_stat_activity WHERE {who}"
    for _ in range(scale(5, 30)):
        [(pid,)] = eventually_sync(lambda: execute_as_root(server, listening), within=PATIENCE)
        execute_as_root(server, f"SELECT pg_terminate_backend({pid})")
        one_task_takes(stage)
    stage.board.injected("LISTEN ended", stage.database, scale(5, 30))
    # It says so, and not again and again.
    assert len(worker.log) < 20 * scale(5, 30)
    stage.settle_up()


def test_nonsense_on_the_channels_wakes_a_worker_and_no_more(
    stage: Stage, server: PrivateServer
) -> None:
    worker = stage.hire("--concurrency", "10").ready()
    execute = stage.direct.run
    for channel in ("celers_tasks", "celers_control"):
        execute(_notify, channel, ["", "x" * 7_999, "nobody's queue", "';--", "☃" * 2_000])
    one_task_takes(stage)
    stage.board.injected("LISTEN: nonsense heard", stage.database, 10)
    assert worker.process.poll() is None
    stage.settle_up()


def _notify(transaction: Transaction, channel: str, payloads: list[str]) -> None:
    told = text("SELECT pg_notify(:channel, :payload)")
    for payload in payloads:
        transaction.connection.execute(told, {"channel": channel, "payload": payload})


def test_a_listener_that_can_reach_nobody_leaves_the_others_alone(
    stage: Stage, server: PrivateServer
) -> None:
    name = urlsplit(stage.url).path.lstrip("/")
    with Proxy("127.0.0.1", server.port) as proxy:
        stage.address = database_of(server, name, proxy.port)
        worker = stage.hire("--concurrency", "10").ready()
        who = LISTENS.format(name=name)
        listening = f"SELECT pid FROM pg_stat_activity WHERE {who}"
        [(pid,)] = eventually_sync(lambda: execute_as_root(server, listening), within=PATIENCE)
        proxy.mode("silent")  # the connections that are open go on, new ones hear nothing
        execute_as_root(server, f"SELECT pg_terminate_backend({pid})")
        for _ in range(5):
            one_task_takes(stage)
        eventually_sync(
            lambda: any(line.get("service") == "listener" for line in worker.log),
            within=PATIENCE,
        )
        proxy.mode("pass")
        eventually_sync(lambda: execute_as_root(server, listening), within=PATIENCE)
        stage.board.injected("LISTEN: nobody answers", stage.database)
        stage.settle_up()
