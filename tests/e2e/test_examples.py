"""The examples, run as a newcomer runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import DirectStore, inspect, make_direct_store, schedule_views
from celers_worker.store.inspect import TaskFilter
from tests.waiting import eventually_sync

REPOSITORY = Path(__file__).parents[2]
LINES = """\
{"name": "ship", "arguments": {"order": 1}, "options": {"priority": 5}}
{"name": "refund", "arguments": {"order": 1, "amount": 2.5}}
{"name": "shp", "arguments": {"order": 1}}
no JSON
{"name": "ship", "arguments": {"ordr": 1}}
"""
on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


@pytest.fixture
def direct(migrated_url: str) -> Iterator[DirectStore]:
    with make_direct_store(migrated_url) as opened:
        yield opened


@pytest.fixture
def environment(migrated_url: str) -> dict[str, str]:
    return os.environ | {
        "CELERS_DATABASE_URL": migrated_url,
        "PYTHONPATH": str(REPOSITORY),
        "COLUMNS": "120",
    }


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"examples.{name}", *arguments]


def run(
    name: str, *arguments: str, environment: dict[str, str], cwd: Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    finished = subprocess.run(
        command(name, *arguments),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert finished.returncode == code, finished.stdout + finished.stderr
    return finished


def states(direct: DirectStore, queue: str) -> list[TaskState]:
    views = direct.run(inspect.list_tasks, TaskFilter(queue=queue), limit=1_000)
    return [view.state for view in views]


def test_the_producer_s_tasks_run_but_those_for_later(
    direct: DirectStore, environment: dict[str, str], tmp_path: Path
) -> None:
    shown = run("producer", environment=environment, cwd=tmp_path).stdout
    assert "only once     True" in shown
    assert states(direct, "emails") == [TaskState.PENDING] * 18

    subprocess.run(
        [sys.executable, "-m", "celers_worker", "worker", "-A", "examples.producer", "--drain"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        timeout=50,
    )
    assert sorted(states(direct, "emails")) == [TaskState.COMPLETED] * 16 + [TaskState.PENDING] * 2


@on_sqlite
def test_the_worker_pool_tells_its_health_and_ends_at_a_signal(
    direct: DirectStore, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("worker_pool"),
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually_sync(lambda: "health: well; " in log.read_text(), within=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "stopped: well; " in log.read_text()
    assert TaskState.COMPLETED in states(direct, "pictures")
    assert TaskState.PROCESSING not in states(direct, "pictures")


@on_sqlite
def test_the_circuit_breaker_spares_attempts_and_every_order_is_charged(
    direct: DirectStore, environment: dict[str, str], tmp_path: Path
) -> None:
    # T19
    shown = run("circuit_breaker", environment=environment, cwd=tmp_path).stdout
    assert "30 orders charged" in shown
    assert "the breaker opens" in shown
    assert "the breaker closes" in shown
    assert states(direct, "payments") == [TaskState.COMPLETED] * 30
    numbers = [int(line.rpartition(" ")[2]) for line in shown.splitlines()[-2:]]
    failed, spared = numbers
    assert failed < spared


def test_tasks_are_imported_and_exported_as_json_lines(
    direct: DirectStore, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(LINES)
    imported = run(
        "import_export", "import", "in.jsonl", environment=environment, cwd=tmp_path, code=1
    )
    assert imported.stdout == "2 tasks enqueued, 3 lines left out\n"
    assert [line.split(":")[0] for line in imported.stderr.splitlines()] == [
        "line 3",
        "line 4",
        "line 5",
    ]

    exported = run("import_export", "export", environment=environment, cwd=tmp_path).stdout
    (tmp_path / "out.jsonl").write_text(exported)
    again = run("import_export", "import", "out.jsonl", environment=environment, cwd=tmp_path)
    assert again.stdout == "2 tasks enqueued, 0 lines left out\n"
    views = direct.run(inspect.list_tasks, TaskFilter(queue="orders"))
    assert sorted((view.name, view.priority) for view in views) == [
        ("refund", 0),
        ("refund", 0),
        ("ship", 5),
        ("ship", 5),
    ]


@on_sqlite
def test_recurring_tasks_come_again_and_each_tick_once(
    direct: DirectStore, environment: dict[str, str], tmp_path: Path
) -> None:
    shown = run("recurring", "--seconds", "4", environment=environment, cwd=tmp_path).stdout
    runs = [line for line in shown.splitlines() if line.startswith("  ")]
    assert len([line for line in runs if "report" in line]) >= 2
    assert any("what is older than 1h" in line for line in runs)
    assert len(runs) == len(set(runs))
    ticks = direct.run(schedule_views.history, "report", limit=100)
    assert len({tick.tick for tick in ticks}) == len(ticks) >= 2


@on_sqlite
def test_every_kind_of_retry_ends_as_its_example_says(
    direct: DirectStore, environment: dict[str, str], tmp_path: Path
) -> None:
    shown = run("advanced_retry", environment=environment, cwd=tmp_path).stdout
    assert shown.count("completed: came back") == 3
    assert "arrived in attempt 1" in shown
    views = direct.run(inspect.list_tasks, TaskFilter(queue="retries"))
    failures = {view.name: len(direct.run(inspect.attempts_of, view.id)) for view in views}
    assert failures == {
        "exponential": 3,
        "your_own": 3,
        "by_the_error": 3,
        "as_the_service_says": 1,
        "not_yet": 0,
        "hopeless": 1,
    }
    dead = {view.name for view in views if view.state is TaskState.FAILED}
    assert dead == {"by_the_error", "hopeless"}


def test_every_example_is_in_the_list_and_in_these_tests() -> None:
    programs = {
        path.stem
        for path in (REPOSITORY / "examples").glob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    listed = (REPOSITORY / "examples" / "README.md").read_text()
    tests = Path(__file__).read_text() + Path(__file__).with_name("test_demo.py").read_text()
    assert {name for name in programs if f"`python -m examples.{name}" not in listed} == set()
    assert {name for name in programs if name not in tests} == set()
