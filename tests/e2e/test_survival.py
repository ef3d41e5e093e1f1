"""Workers die; their tasks do not."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import inspect
from tests.e2e import handlers
from tests.e2e.conftest import Everywhere, play, projects_everywhere
from tests.e2e.project import QUICK, Project
from tests.faults.scoreboard import AFTER_DEATH, Scoreboard
from tests.waiting import eventually_sync

#: In one process, so that the half minute of the defaults is waited for once.
pytestmark = pytest.mark.xdist_group("survival")


def calls(count: int, seconds: float) -> list[Any]:
    return [handlers.work.call(seconds=seconds) for _ in range(count)]


@pytest.fixture(scope="module", autouse=True)
def recovery_with_defaults(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[None]]:
    """Half a minute of waiting for a lease, in which the tests of this module run."""
    board = Scoreboard(request.config.getoption("faults_notes"))

    def scenario(project: Project) -> None:
        gate = project.folder / "go"
        [task] = project.enqueue([handlers.wait_for_file.with_(max_retries=3).call(path=str(gate))])
        first = project.worker(settings={}).ready()
        eventually_sync(lambda: project.history())
        project.worker(settings={}).ready()
        first.kill()
        killed = time.monotonic()

        eventually_sync(lambda: len(project.history()) > 1, within=60)

        seconds = time.monotonic() - killed
        board.recovered(AFTER_DEATH, seconds, bound=35)
        assert seconds <= 35
        gate.touch()
        eventually_sync(lambda: project.task(task).state is TaskState.COMPLETED)

    folder = tmp_path_factory.mktemp("defaults")
    with ThreadPoolExecutor(1) as threads, projects_everywhere(request, folder) as projects:
        yield threads.submit(play, scenario, projects)
        for project in projects.values():
            project.close()  # nobody may have waited for the scenario: it ends here


def test_a_worker_killed_under_load_loses_nothing_and_another_finishes_its_tasks(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        # Five that surely run when it is killed, beside many that come and go.
        project.enqueue([handlers.work.with_(priority=9).call(seconds=3) for _ in range(5)])
        project.enqueue(calls(295, 0.05))
        first = project.worker("--concurrency", "20").ready()
        eventually_sync(lambda: len(project.history()) > 60)
        first.kill()
        held = project.ids_of(TaskState.PROCESSING)
        project.worker("--concurrency", "20")

        eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 300}, within=90)

        starts = [note for note in project.history() if note.what == "start"]
        assert {note.task for note in starts if note.attempt == 2} == held
        assert {note.attempt for note in starts} == {1, 2}

    everywhere(scenario)


def test_a_worker_killed_between_its_claim_and_its_first_heartbeat_loses_nothing(
    everywhere: Everywhere,
) -> None:
    # T23
    def scenario(project: Project) -> None:
        worker = project.worker().ready()
        [task] = project.enqueue(calls(1, 30))
        eventually_sync(lambda: project.task(task).state is TaskState.PROCESSING)
        worker.kill()

        project.worker()

        # The first may have died before its handler wrote anything.
        eventually_sync(lambda: [note.attempt for note in project.history()][-1:] == [2], within=60)
        assert project.task(task).crash_count == 1

    everywhere(scenario)


@pytest.mark.timeout(120)
def test_a_task_that_kills_its_workers_ends_in_the_dead_letter_queue(
    everywhere: Everywhere,
) -> None:
    # T13, T24, T33
    def scenario(project: Project) -> None:
        [poison] = project.enqueue([handlers.poison.call()])
        healthy = project.enqueue(calls(3, 0.01))

        def keep_two_workers_alive() -> bool:
            if sum(worker.process.poll() is None for worker in project.workers) < 2:
                project.worker()
            return project.task(poison).state is TaskState.FAILED

        eventually_sync(keep_two_workers_alive, within=90)

        dead = project.task(poison)
        assert dead.crash_count == 3
        assert dead.reason is not None
        assert "poison" in dead.reason
        attempts = project.direct.run(inspect.attempts_of, poison)
        assert [attempt.error_type for attempt in attempts] == ["WorkerLost"] * 3
        eventually_sync(
            lambda: all(project.task(one).state is TaskState.COMPLETED for one in healthy),
            within=60,
        )

    everywhere(scenario)


def test_a_worker_killed_during_the_last_attempt_frees_the_unique_key(
    everywhere: Everywhere,
) -> None:
    # T22
    def scenario(project: Project) -> None:
        last = handlers.work.with_(max_retries=0, unique_key="one")
        [task] = project.enqueue([last.call(seconds=30)])
        first = project.worker().ready()
        eventually_sync(lambda: project.history())
        first.kill()
        project.worker()

        eventually_sync(lambda: project.task(task).state is TaskState.FAILED, within=60)

        [again] = project.enqueue([last.call(seconds=0)])
        assert again != task
        eventually_sync(lambda: project.task(again).state is TaskState.COMPLETED)

    everywhere(scenario)


def test_a_frozen_workers_outcome_is_refused_after_its_task_ran_elsewhere(
    everywhere: Everywhere,
) -> None:
    # T7
    # One that a busy machine does not end before the worker is frozen.
    settings = {**QUICK, "CELERS_WORKER_LEASE": "8s"}

    def scenario(project: Project) -> None:
        gate = project.folder / "go"
        [task] = project.enqueue([handlers.wait_for_file.with_(max_retries=3).call(path=str(gate))])
        frozen = project.worker(settings=settings).ready()
        eventually_sync(lambda: project.history())
        project.freeze(frozen)
        project.worker(settings=settings).ready()
        eventually_sync(lambda: len(project.history()) > 1, within=60)
        gate.touch()
        # What it held when it froze, a lock of the janitor's perhaps, it keeps for the ten seconds
        # that a call may take.
        eventually_sync(lambda: project.task(task).state is TaskState.COMPLETED, within=60)
        winner = project.task(task)

        frozen.signal(signal.SIGCONT)

        eventually_sync(lambda: frozen.said("outcome refused: the lease was lost"))
        assert project.task(task) == winner
        assert project.states() == {TaskState.COMPLETED: 1}
        [later] = project.enqueue(calls(1, 0))
        eventually_sync(lambda: project.task(later).state is TaskState.COMPLETED)

    everywhere(scenario)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_worker_that_was_frozen_for_long_blames_no_handler_and_goes_on(project: Project) -> None:
    # A loop that does not come back by its deadline ends the process: this one could not.
    quick = {"CELERS_WORKER_LEASE": "200ms", "CELERS_WORKER_HEARTBEAT_INTERVAL": "100ms"}
    quick |= {"CELERS_WORKER_REAP_INTERVAL": "100ms", "CELERS_WORKER_LOOP_DEADLINE": "2s"}
    worker = project.worker(settings=quick).ready()
    project.freeze(worker)
    began = time.monotonic()
    eventually_sync(lambda: time.monotonic() - began > 3)

    worker.signal(signal.SIGCONT)

    [task] = project.enqueue(calls(1, 0))
    eventually_sync(lambda: project.task(task).state is TaskState.COMPLETED)
    assert worker.process.poll() is None
    assert not worker.said("the event loop is blocked by a handler")


def test_two_workers_share_a_load_and_never_run_a_task_twice(project: Project) -> None:
    # Nobody dies here, so with the default lease: with a short one a busy machine may lose it.
    workers = [project.worker("--concurrency", "5", settings={}).ready() for _ in range(2)]
    project.enqueue(calls(400, 0.02))

    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 400}, within=60)

    started = [note.task for note in project.history() if note.what == "start"]
    assert len(started) == len(set(started)) == 400
    assert len({note.process for note in project.history()}) == 2
    # "database is locked" would be one of them.
    assert not [line for worker in workers for line in worker.log if line["level"] == "error"]


@pytest.mark.timeout(120)
def test_with_default_settings_a_killed_workers_tasks_run_again_within_35_seconds(
    recovery_with_defaults: Future[None],
) -> None:
    recovery_with_defaults.result()
