"""The password of the database is nowhere: in no log, metric, error, row or list of processes."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import select

from celers_worker.core.task import TaskState
from celers_worker.store import make_direct_store, migrate
from celers_worker.store.schema import metadata
from celers_worker.store.transaction import Transaction
from tests import databases
from tests.cli.shell import run
from tests.e2e import handlers
from tests.e2e.project import QUICK, Project
from tests.servers import MariaDBServer, PrivateServer, Server
from tests.waiting import eventually_sync

SENTINEL = "s3nt1nel-p4ss"


@pytest.fixture
def guarded(database_server: Server, tmp_path: Path) -> Iterator[tuple[Project, PrivateServer]]:
    """A project whose user has a password that is seen wherever it turns up."""
    if not isinstance(database_server, PrivateServer):
        pytest.skip("this server is not ours to kill")
    name = f"celers_{uuid4().hex}"
    owner = database_server.create_database(name)
    parts = urlsplit(owner)
    user = parts.username
    if isinstance(database_server, MariaDBServer):
        user = f"u{uuid4().hex[:8]}"
        root = parts._replace(netloc=f"root@{parts.netloc.partition('@')[2]}").geturl()
        databases.execute(root, f"CREATE USER {user}@'%' IDENTIFIED BY '{SENTINEL}'")
        databases.execute(root, f"GRANT ALL ON `{name}`.* TO {user}@'%'")
    # PostgreSQL's server of the tests lets everybody in, whatever the password.
    address = f"{user}:{SENTINEL}@{parts.netloc.partition('@')[2]}"
    url = parts._replace(netloc=address).geturl()
    direct = make_direct_store(url)
    migrate.upgrade(direct)
    with Project(url, tmp_path, direct) as project:
        yield project, database_server
    database_server.start()
    database_server.drop_database(name)


def test_a_password_is_nowhere_whatever_goes_wrong(guarded: tuple[Project, PrivateServer]) -> None:
    project, server = guarded
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    worker = project.worker(
        *("--log-level", "debug", "--metrics-port", str(port)), settings=QUICK
    ).ready()
    [fails] = project.enqueue([handlers.third_time_lucky.call()])
    eventually_sync(lambda: project.task(fails).state is TaskState.COMPLETED, within=30)

    server.kill()
    eventually_sync(lambda: worker.said("service failed, will be tried again"), within=30)
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read()
    away = run("--database", project.url, "task", "list")
    told = run("--database", project.url, "--debug", "task", "list")
    server.start()
    project.direct.engine.dispose()
    [last] = project.enqueue([handlers.work.call(seconds=0)])
    eventually_sync(lambda: project.task(last).state is TaskState.COMPLETED, within=30)

    arguments = Path(f"/proc/{worker.process.pid}/cmdline").read_bytes()
    rows = project.direct.run(_everything)
    assert SENTINEL not in worker.log_file.read_text()
    assert SENTINEL.encode() not in metrics
    assert SENTINEL not in away.stdout + away.stderr
    assert "Traceback" in told.stderr
    assert SENTINEL not in told.stdout + told.stderr
    assert SENTINEL.encode() not in arguments
    assert SENTINEL not in rows


def test_a_wrong_password_is_not_repeated(guarded: tuple[Project, PrivateServer]) -> None:
    project, server = guarded
    if not isinstance(server, MariaDBServer):
        pytest.skip("PostgreSQL's server of the tests lets everybody in")
    wrong = project.url.replace(SENTINEL, f"{SENTINEL}-wrong")
    ended = run("--database", wrong, "--debug", "task", "list")
    assert ended.returncode == 2
    assert SENTINEL not in ended.stderr
    ended = run(
        *("worker", "-A", "tests.e2e.handlers", "--log-level", "debug"),
        env={**os.environ, "CELERS_DATABASE_URL": wrong},
    )
    assert ended.returncode == 2
    assert SENTINEL not in ended.stdout + ended.stderr


def test_a_password_among_the_arguments_is_warned_of(
    guarded: tuple[Project, PrivateServer],
) -> None:
    project, _ = guarded
    ended = run("--database", project.url, "worker", "-A", "tests.e2e.handlers", "--drain")
    assert ended.returncode == 0, ended.stderr
    first = ended.stderr.splitlines()[0]
    assert first.startswith("celers: warning: --database holds a password, which everybody")
    assert "CELERS_DATABASE_URL" in first
    assert SENTINEL not in ended.stderr


def _everything(transaction: Transaction) -> str:
    return "".join(
        str(transaction.connection.execute(select(table)).all()) for table in metadata.sorted_tables
    )
