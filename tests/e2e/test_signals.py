"""Signals that tell a running worker something, to one process and through a supervisor."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from celers_worker.core.task import TaskState
from tests.e2e import handlers
from tests.e2e.project import QUICK, Project
from tests.observe.listening import systemd
from tests.waiting import eventually_sync

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
ALONE_OR_TWO = pytest.mark.parametrize("processes", [1, 2])


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def health(port: int) -> tuple[int, dict[str, Any]]:
    status, text = page(port, "/health")
    return status, json.loads(text)


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@on_sqlite
@ALONE_OR_TWO
def test_a_worker_under_systemd_from_ready_to_stopping(
    project: Project, tmp_path: Path, processes: int
) -> None:
    port = free_port()
    file = tmp_path / "celers.toml"
    file.write_text("[worker]\nconcurrency = 1\n")
    with systemd(tmp_path) as told:
        settings = QUICK | {
            "NOTIFY_SOCKET": told.address,
            "WATCHDOG_USEC": "3000000",
            "CELERS_CONFIG": str(file),
            "CELERS_WORKER_GRACE": "100ms",
        }
        worker = project.worker(
            *("--processes", str(processes), "--metrics-port", str(port)), settings=settings
        )
        eventually_sync(lambda: told.of("READY"), within=45)
        eventually_sync(lambda: told.of("WATCHDOG"))
        status, found = health(port)
        assert status == 200
        assert len(found["processes"]) == processes
        assert page(port, "/live") == (200, "ok\n")
        assert page(port, "/ready") == (200, "ok\n")

        project.enqueue([handlers.work.call(seconds=60) for _ in range(4 * processes)])
        eventually_sync(lambda: len(project.history()) == processes)
        told.forget()
        file.write_text("[worker]\nconcurrency = 3\n")
        worker.signal(signal.SIGHUP)
        eventually_sync(lambda: len(project.history()) == 3 * processes)
        eventually_sync(lambda: told.of("RELOADING") and told.of("READY"))
        eventually_sync(
            lambda: len(worker.said("configuration reloaded")) == processes + (processes > 1)
        )

        worker.signal(signal.SIGUSR1)
        eventually_sync(lambda: len(worker.said("task runs")) == 3 * processes)
        assert all("handlers.py" in line["stack"] for line in worker.said("task runs"))

        worker.signal(signal.SIGTSTP)
        eventually_sync(lambda: page(port, "/ready")[0] == 503)
        assert page(port, "/live")[0] == 200
        worker.signal(signal.SIGCONT)
        eventually_sync(lambda: page(port, "/ready")[0] == 200)
        assert len(worker.said("worker claims tasks again")) == processes

        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        assert told.of("STOPPING") == ["1"]
    assert project.states() == {TaskState.PENDING: 4 * processes}


@on_sqlite
def test_a_frozen_process_ends_the_pings_of_its_supervisor(
    project: Project, tmp_path: Path
) -> None:
    port = free_port()
    with systemd(tmp_path) as told:
        settings = QUICK | {"NOTIFY_SOCKET": told.address, "WATCHDOG_USEC": "600000"}
        project.worker("--processes", "2", "--metrics-port", str(port), settings=settings)
        eventually_sync(lambda: told.of("READY"), within=45)
        _, found = health(port)
        frozen = found["processes"][1]

        os.kill(frozen["pid"], signal.SIGSTOP)

        eventually_sync(lambda: "process is stuck" in told.of("STATUS")[-1], within=30)
        told.forget()
        eventually_sync(lambda: len(told.of("STATUS")) >= 3)
        assert told.of("WATCHDOG") == []
        assert page(port, "/live") == (503, f"{frozen['worker']}: process is stuck\n")
        os.kill(frozen["pid"], signal.SIGCONT)
        eventually_sync(lambda: told.of("WATCHDOG"))


@on_sqlite
def test_a_configuration_that_was_broken_meanwhile_ends_nobody(
    project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "celers.toml"
    file.write_text("[worker]\nconcurrency = 1\n")
    worker = project.worker(settings=QUICK | {"CELERS_CONFIG": str(file)}).ready()
    file.write_text("[worker]\nconcurrency = 'many'\n")
    worker.signal(signal.SIGHUP)
    [refused] = eventually_sync(
        lambda: worker.said("configuration not reloaded, the old one holds; see celers check")
    )
    assert "worker.concurrency" in refused["problems"][0]
    project.enqueue([handlers.work.call(seconds=0)])
    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 1})


@on_sqlite
def test_a_thousand_signals_at_random_end_nobody(project: Project) -> None:
    import random

    chance = random.Random(7)
    project.enqueue([handlers.work.call(seconds=0.01) for _ in range(200)])
    worker = project.worker(settings=QUICK).ready()
    for _ in range(1_000):
        number = chance.choice([signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP, signal.SIGCONT])
        worker.signal(number)

    def all_done() -> bool:
        """Signals sent at the same moment go to several threads, so no order is theirs."""
        worker.signal(signal.SIGCONT)
        return project.states() == {TaskState.COMPLETED: 200}

    eventually_sync(all_done, within=30)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
