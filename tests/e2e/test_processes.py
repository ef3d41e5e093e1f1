"""One `celers worker` that is several processes."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import survey
from tests.cli.shell import Terminal
from tests.e2e import handlers
from tests.e2e.conftest import Everywhere
from tests.e2e.project import QUICK, Project, WorkerProcess
from tests.waiting import eventually_sync

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
IMPATIENT = QUICK | {
    "CELERS_WORKER_GRACE": "200ms",
    "CELERS_WORKER_CANCEL_GRACE": "100ms",
    "CELERS_DATABASE_CALL_TIMEOUT": "500ms",
}


def processes(project: Project, count: int) -> dict[str, int]:
    """The processes by their names, as soon as so many are registered."""

    def registered() -> dict[str, int] | None:
        views = project.direct.run(survey.list_workers)
        found = {view.name: view.pid for view in views if view.state == "running"}
        return found if len(found) == count else None

    return eventually_sync(registered, within=20)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sentences(worker: WorkerProcess) -> Counter[str]:
    return Counter(line["event"] for line in worker.log)


def running(project: Project) -> set[int]:
    """The processes whose handlers have begun."""
    return {note.process for note in project.history()}


def test_a_killed_process_is_replaced_and_everything_completes(everywhere: Everywhere) -> None:
    def scenario(project: Project) -> None:
        project.enqueue([handlers.work.call(seconds=0.05) for _ in range(300)])
        worker = project.worker("--processes", "2", "--concurrency", "5", "--name", "web")
        found = processes(project, 2)
        assert set(found) == {"web-1", "web-2"}
        eventually_sync(lambda: running(project) == set(found.values()))

        os.kill(found["web-2"], signal.SIGKILL)

        eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 300}, within=30)
        [died] = worker.said("worker process died, will be replaced")
        assert (died["process"], died["exit"], died["again_in"]) == ("web-2", "SIGKILL", 1)
        assert died["pid"] == found["web-2"]
        eventually_sync(lambda: processes(project, 2)["web-2"] != found["web-2"])

    everywhere(scenario)


def test_a_signal_ends_all_processes_and_what_they_run_is_given_back(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        project.enqueue([handlers.work.call(seconds=60) for _ in range(8)])
        worker = project.worker("--processes", "2", "--concurrency", "4", settings=IMPATIENT)
        found = processes(project, 2)
        eventually_sync(lambda: running(project) == set(found.values()))

        worker.signal(signal.SIGTERM)

        assert worker.ended(within=8) == 0
        assert not any(map(is_alive, found.values()))
        assert project.states() == {TaskState.PENDING: 8}
        assert project.direct.run(survey.list_workers) == []
        stopped = worker.said("worker stopped")
        assert [line["released"] for line in stopped] == [4, 4]
        assert worker.log[-1]["event"] == "supervisor stopped"

    everywhere(scenario)


@on_sqlite
def test_a_second_signal_gives_back_at_once(project: Project) -> None:
    project.enqueue([handlers.work.call(seconds=60) for _ in range(2)])
    worker = project.worker("--processes", "2", "--concurrency", "1", settings={})
    eventually_sync(lambda: len(running(project)) == 2, within=20)
    worker.signal(signal.SIGTERM)
    eventually_sync(lambda: len(worker.said("worker stopping")) == 2)
    began = time.monotonic()

    worker.signal(signal.SIGTERM)

    assert worker.ended() == 0
    assert time.monotonic() - began < 4, "neither the 30 s of grace nor the 5 s after it"
    assert project.states() == {TaskState.PENDING: 2}


@on_sqlite
def test_processes_whose_supervisor_was_killed_end_and_give_back_what_they_run(
    project: Project,
) -> None:
    project.enqueue([handlers.work.call(seconds=60) for _ in range(2)])
    worker = project.worker("--processes", "2", "--concurrency", "1", settings=IMPATIENT)
    found = processes(project, 2)
    eventually_sync(lambda: len(running(project)) == 2)

    worker.kill()

    eventually_sync(lambda: not any(map(is_alive, found.values())))
    assert project.states() == {TaskState.PENDING: 2}
    reasons = {line["reason"] for line in worker.said("worker stopping")}
    assert reasons == {"its supervisor is gone"}


# Not on a file, whose lock the frozen one may hold: nobody could leave.
@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_a_process_that_does_not_end_is_killed_and_that_is_a_failure(project: Project) -> None:
    worker = project.worker("--processes", "2", "-n", "web", settings=IMPATIENT)
    found = processes(project, 2)
    os.kill(found["web-1"], signal.SIGSTOP)

    worker.signal(signal.SIGTERM)

    assert worker.ended(within=10) == 1
    assert worker.log[-1]["killed"] == ["web-1"]
    assert not any(map(is_alive, found.values()))


@on_sqlite
def test_four_processes_drain_one_file_together(project: Project) -> None:
    gate = project.folder / "go"
    # As many as fill all four, so that none has drained the file before the others came.
    project.enqueue(
        [handlers.wait_for_file.with_(priority=9).call(path=str(gate)) for _ in range(40)]
    )
    project.enqueue([handlers.work.call(seconds=0) for _ in range(3_000)])
    count = 3_040

    # With the usual lease: they push each other aside at the file, on a busy machine for seconds.
    worker = project.worker("--processes", "4", "--drain", "--concurrency", "10", settings={})
    eventually_sync(lambda: len(running(project)) == 4, within=20)
    gate.touch()

    assert worker.ended(within=40) == 0
    assert project.states() == {TaskState.COMPLETED: count}
    starts = [note for note in project.history() if note.what == "start"]
    assert len(starts) == len({note.task for note in starts}) == count
    assert {line["level"] for line in worker.log} == {"info"}
    assert sentences(worker)["worker stopped"] == 4


@on_sqlite
def test_metrics_of_all_processes_are_served_as_one_and_outlive_them(project: Project) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def completed() -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            page = answer.read().decode()
        start = 'celers_tasks_completed_total{queue="default"} '
        values = [line for line in page.splitlines() if line.startswith(start)]
        return float(values[0].removeprefix(start)) if values else 0.0

    worker = project.worker(
        *("--processes", "2", "--concurrency", "2"), *("--metrics-port", str(port))
    )
    found = processes(project, 2)
    project.enqueue([handlers.work.call(seconds=0.1) for _ in range(20)])
    eventually_sync(lambda: completed() == 20)
    assert running(project) == set(found.values())

    for pid in found.values():
        os.kill(pid, signal.SIGKILL)

    eventually_sync(lambda: len(worker.said("worker started")) == 4, within=20)
    assert completed() == 20
    project.enqueue([handlers.work.call(seconds=0) for _ in range(5)])
    eventually_sync(lambda: completed() == 25)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0


@on_sqlite
def test_ctrl_c_in_a_terminal_reaches_each_process_once(project: Project) -> None:
    project.enqueue([handlers.work.call(seconds=1.5) for _ in range(2)])
    environment = {
        "CELERS_DATABASE_URL": project.url,
        "CELERS_E2E_HISTORY": str(project.history_file),
    }
    arguments = ("worker", "-A", "tests.e2e.handlers", "-p", "2", "-c", "1")
    with Terminal(*arguments, **environment) as terminal:
        eventually_sync(lambda: len(running(project)) == 2, within=20)
        terminal.type_ctrl_c()
        assert terminal.end() == 0

    # Twice would have been the order to give back at once.
    assert project.states() == {TaskState.COMPLETED: 2}
    assert terminal.shown.count("worker stopping") == 2
    assert terminal.shown.count("supervisor stopping") == 1


@on_sqlite
def test_one_that_always_dies_at_its_start_is_tried_ever_later(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "fatal.py").write_text("import os\n\nos._exit(7)\n")
    worker = project.worker(
        *("-A", "fatal", "--processes", "3"), settings={"PYTHONPATH": str(tmp_path)}
    )

    def died_twice() -> bool:
        return len(worker.said("worker process died, will be replaced")) == 2

    eventually_sync(died_twice, within=20)
    worker.signal(signal.SIGTERM)

    assert worker.ended() == 0
    died = worker.said("worker process died, will be replaced")
    assert [(line["exit"], line["again_in"]) for line in died] == [("status 7", 1), ("status 7", 2)]
    assert {line["process"].rpartition("-")[2] for line in died} == {"1"}, "the others never began"


@pytest.mark.parametrize("count", ["1", "2"])
@on_sqlite
def test_a_signal_while_the_application_is_imported_is_a_clean_end(
    project: Project, tmp_path: Path, count: str
) -> None:
    here = tmp_path / "importing"
    (tmp_path / "slow.py").write_text(
        "import contextlib, pathlib, time\n\n"
        f"pathlib.Path({str(here)!r}).touch()\n"
        "with contextlib.suppress(BaseException):\n"
        "    time.sleep(60)\n"
        "from tests.e2e.handlers import app\n"
    )
    worker = project.worker(
        *("-A", "slow", "--processes", count), settings={"PYTHONPATH": str(tmp_path)}
    )
    eventually_sync(here.exists, within=20)

    worker.signal(signal.SIGTERM)

    assert worker.ended(within=5) == 0
    assert "worker started" not in sentences(worker)
    assert "worker process died, will be replaced" not in sentences(worker)
