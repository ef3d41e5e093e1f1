"""Workers die; their tasks do not."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import inspect
from tests.e2e import handlers
from tests.e2e.project import Project
from tests.waiting import eventually_sync


def calls(count: int, seconds: float) -> list[Any]:
    return [handlers.work.call(seconds=seconds) for _ in range(count)]


def test_a_worker_killed_under_load_loses_nothing_and_another_finishes_its_tasks(
    project: Project,
) -> None:
    project.enqueue(calls(300, 0.05))
    first = project.worker("--concurrency", "20").ready()
    eventually_sync(lambda: len(project.history()) > 60)
    first.kill()
    project.worker("--concurrency", "20")

    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 300}, within=30)

    reran = [note for note in project.history() if note.what == "start" and note.attempt > 1]
    assert 0 < len(reran) <= 20


@pytest.mark.timeout(120)
def test_with_default_settings_a_killed_workers_tasks_run_again_within_35_seconds(
    project: Project, tmp_path: Path
) -> None:
    [task] = project.enqueue(
        [handlers.wait_for_file.with_(max_retries=3).call(path=str(tmp_path / "go"))]
    )
    first = project.worker(settings={}).ready()
    eventually_sync(lambda: project.history())
    project.worker(settings={}).ready()
    first.kill()
    killed = time.monotonic()

    eventually_sync(lambda: len(project.history()) > 1, within=60)

    assert time.monotonic() - killed <= 35
    (tmp_path / "go").touch()
    eventually_sync(lambda: project.task(task).state is TaskState.COMPLETED)


def test_a_worker_killed_between_its_claim_and_its_first_heartbeat_loses_nothing(
    project: Project, tmp_path: Path
) -> None:
    # T23
    [task] = project.enqueue([handlers.work.call(seconds=30)])
    slow = {"CELERS_WORKER_LEASE": "2s", "CELERS_WORKER_HEARTBEAT_INTERVAL": "1s"}
    slow["CELERS_WORKER_REAP_INTERVAL"] = "500ms"
    first = project.worker(settings=slow).ready()
    eventually_sync(lambda: project.task(task).state is TaskState.PROCESSING)
    first.kill()

    project.worker()

    eventually_sync(lambda: len(project.history()) > 1)
    assert project.task(task).crash_count == 1


def test_a_task_that_kills_its_workers_ends_in_the_dead_letter_queue(project: Project) -> None:
    # T13, T24, T33
    [poison] = project.enqueue([handlers.poison.call()])
    healthy = project.enqueue(calls(5, 0.01))

    def keep_a_worker_alive() -> bool:
        if all(worker.process.poll() is not None for worker in project.workers):
            project.worker()
        return project.task(poison).state is TaskState.FAILED

    eventually_sync(keep_a_worker_alive, within=45)

    dead = project.task(poison)
    assert dead.crash_count == 3
    assert dead.reason is not None
    assert "poison" in dead.reason
    attempts = project.direct.run(inspect.attempts_of, poison)
    assert [attempt.error_type for attempt in attempts] == ["WorkerLost"] * 3
    if all(worker.process.poll() is not None for worker in project.workers):
        project.worker()
    eventually_sync(
        lambda: all(project.task(one).state is TaskState.COMPLETED for one in healthy), within=20
    )


def test_a_worker_killed_during_the_last_attempt_frees_the_unique_key(project: Project) -> None:
    # T22
    last = handlers.work.with_(max_retries=0, unique_key="one")
    [task] = project.enqueue([last.call(seconds=30)])
    first = project.worker().ready()
    eventually_sync(lambda: project.task(task).state is TaskState.PROCESSING)
    first.kill()
    project.worker()

    eventually_sync(lambda: project.task(task).state is TaskState.FAILED)

    [again] = project.enqueue([last.call(seconds=0)])
    assert again != task


def test_a_frozen_workers_outcome_is_refused_after_its_task_ran_elsewhere(
    project: Project, tmp_path: Path
) -> None:
    # T7
    gate = tmp_path / "go"
    call = handlers.wait_for_file.with_(max_retries=3).call(path=str(gate))
    [task] = project.enqueue([call])
    frozen = project.worker().ready()
    eventually_sync(lambda: project.history())
    frozen.signal(signal.SIGSTOP)
    project.worker().ready()
    eventually_sync(lambda: len(project.history()) > 1)
    gate.touch()
    eventually_sync(lambda: project.task(task).state is TaskState.COMPLETED)
    winner = project.task(task)

    frozen.signal(signal.SIGCONT)

    eventually_sync(lambda: frozen.said("outcome refused: the lease was lost"))
    assert project.task(task) == winner
    assert project.states() == {TaskState.COMPLETED: 1}


def test_two_workers_share_a_load_and_never_run_a_task_twice(project: Project) -> None:
    workers = [project.worker("--concurrency", "10").ready() for _ in range(2)]
    project.enqueue(calls(400, 0.005))

    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 400}, within=30)

    started = [note.task for note in project.history() if note.what == "start"]
    assert len(started) == len(set(started)) == 400
    assert len({note.process for note in project.history()}) == 2
    assert not [line for worker in workers for line in worker.log if line["level"] == "error"]
