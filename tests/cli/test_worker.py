"""``celers worker`` as a process: what it runs, and how it ends."""

import json
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from celers_worker.store import make_direct_store, migrate
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import SECONDS, environment, errors, run, started
from tests.servers import Server
from tests.waiting import eventually_sync

STUBBORN = """\
import asyncio
import contextlib
import time

from celers_worker import Celers

app = Celers()


@app.task()
def sleep():
    time.sleep(600)


@app.task()
async def swallow():
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
"""


class Log:
    """Where a worker's log goes, as JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def expect(self, event: str) -> dict[str, Any]:
        """Wait for an event's line."""

        def found() -> dict[str, Any] | None:
            return next((entry for entry in self.entries if entry["event"] == event), None)

        return eventually_sync(found, within=SECONDS)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def test_drain_runs_everything_that_is_due_and_ends(direct: DirectStore, tasks_file: Path) -> None:
    rows.waiting(direct, 20, name="send_welcome")
    rows.waiting(direct, 1, name="fail", payload=b"{}", max_retries=0)

    ended = run("worker", "--drain")

    assert ended.returncode == 0, ended.stderr
    assert rows.counts(direct) == {"completed": 20, "failed": 1}
    events = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert [events[0], events[-1]] == ["worker started", "worker stopped"]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_it_serves_the_queues_it_is_told(direct: DirectStore, tasks_file: Path) -> None:
    for queue in ("emails", "reports", "others"):
        rows.waiting(direct, name="send_welcome", queue=queue)

    ended = run("worker", "--queue", "emails", "--queue", "reports:4", "--drain", "-n", "mail")

    assert ended.returncode == 0, ended.stderr
    assert rows.counts(direct) == {"completed": 2, "pending": 1}
    assert rows.live(direct)[0].queue_name == "others"
    first = json.loads(ended.stderr.splitlines()[0])
    assert (first["name"], first["queues"]) == ("mail", ["emails", "reports:4"])


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_once_takes_one_claim(direct: DirectStore, tasks_file: Path) -> None:
    rows.waiting(direct, 3, name="send_welcome")

    assert run("worker", "--once", "-c", "2").returncode == 0
    assert rows.counts(direct) == {"completed": 2, "pending": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_signal_ends_it_cleanly(
    direct: DirectStore, tasks_file: Path, log: Log, number: signal.Signals
) -> None:
    with log.path.open("w") as stream, started("worker", stderr=stream) as process:
        log.expect("worker started")
        process.send_signal(number)
        assert process.wait(SECONDS) == 0
    assert log.expect("worker stopping")["reason"] == number.name
    assert log.entries[-1]["event"] == "worker stopped"


@pytest.mark.parametrize("name", ["sleep", "swallow"])
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_handlers_that_never_stop_do_not_hold_up_the_end(
    direct: DirectStore, workplace: Path, log: Log, name: str
) -> None:
    (workplace / "stubborn.py").write_text(STUBBORN)
    [task_id] = rows.waiting(direct, name=name, payload=b"{}")
    quick = environment(CELERS_WORKER_GRACE="0s", CELERS_WORKER_CANCEL_GRACE="100ms")

    with (
        log.path.open("w") as stream,
        started("worker", "-A", "stubborn", stderr=stream, env=quick) as process,
    ):
        eventually_sync(lambda: rows.state(direct, task_id) == "processing", within=SECONDS)
        process.terminate()
        assert process.wait(15) == 0
    assert log.entries[-1]["abandoned"] == 1
    assert rows.state(direct, task_id) == "pending"


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_metrics_are_served_where_it_is_told(direct: DirectStore, tasks_file: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    with started("worker", "--metrics-port", str(port), stderr=subprocess.DEVNULL) as process:
        assert "celers_" in eventually_sync(page, within=SECONDS)
        process.terminate()
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_log_that_cannot_be_written_stops_no_task(direct: DirectStore, tasks_file: Path) -> None:
    rows.waiting(direct, 1, name="fail", payload=b"{}", max_retries=0)
    rows.waiting(direct, 2, name="send_welcome")

    with Path("/dev/full").open("w") as full:
        assert run("worker", "--drain", stderr=full).returncode == 0
    assert rows.counts(direct) == {"failed": 1, "completed": 2}


def test_a_database_that_is_away_is_waited_for(
    database_server: Server, tasks_file: Path, log: Log
) -> None:
    url = database_server.create_database(f"celers_{uuid4().hex}")
    with make_direct_store(url) as store:
        migrate.upgrade(store)
    database_server.stop()

    with (
        log.path.open("w") as stream,
        started("worker", stderr=stream, env=environment(CELERS_DATABASE_URL=url)) as process,
    ):
        failure = log.expect("service failed, will be tried again")
        assert failure["service"] == "store"
        assert "does not answer" in failure["error"]
        assert process.poll() is None
        database_server.start()
        log.expect("worker started")
        process.terminate()
        assert process.wait(SECONDS) == 0


def test_while_it_waits_for_the_database_a_signal_ends_it(tasks_file: Path, log: Log) -> None:
    nowhere = "postgresql://u@127.0.0.1:1/x"
    with (
        log.path.open("w") as stream,
        started("--database", nowhere, "worker", stderr=stream) as process,
    ):
        log.expect("service failed, will be tried again")
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert log.expect("worker stopping")["reason"] == "SIGTERM"


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cr3t@127.0.0.1:1/x", "mysql://u:s3cr3t@127.0.0.1:1/x"]
)
def test_fail_fast_does_not_wait(tasks_file: Path, url: str) -> None:
    ended = run("--database", url, "worker", "--fail-fast")

    assert ended.returncode == 1
    [warning, error] = errors(ended)
    assert warning.startswith("celers: warning: --database holds a password, which everybody")
    assert error.startswith(f"{url.replace('s3cr3t', '***')} does not answer")


def test_fail_fast_does_not_wait_for_a_server_that_is_silent(tasks_file: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/x"
        ended = run("--database", url, "worker", "--fail-fast")

    assert ended.returncode == 1
    assert "did not answer within 3.5 s" in ended.stderr


def test_wrong_tables_end_it_at_once(
    database_url: str, tasks_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_url.startswith("sqlite"):
        with make_direct_store(database_url) as store:
            migrate.upgrade(store)
            rows.stamp(store, "9999")
        problem = "the tables are at revision 9999, newer than the "
    else:
        problem = "the database has no Celers tables. Run: celers migrate"

    ended = run("worker", env=environment(CELERS_DATABASE_URL=database_url))
    assert ended.returncode == 2
    [error] = errors(ended)
    assert error.startswith(problem)
