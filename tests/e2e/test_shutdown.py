"""A worker is told to stop."""

import signal
import time

from celers_worker.core.task import TaskState
from tests.e2e import handlers
from tests.e2e.project import Project
from tests.waiting import eventually_sync


def test_a_worker_told_to_stop_under_load_loses_nothing_and_counts_no_attempt(
    project: Project,
) -> None:
    # T9
    project.enqueue([handlers.work.call(seconds=0.02) for _ in range(500)])
    first = project.worker("--concurrency", "10").ready()
    eventually_sync(lambda: len(project.history()) > 50)

    first.signal(signal.SIGTERM)

    assert first.ended(within=5) == 0, "what runs takes 20 ms"
    assert TaskState.PROCESSING not in project.states()
    project.worker("--concurrency", "50")
    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 500}, within=20)
    assert {note.attempt for note in project.history()} == {1}


def test_what_outlives_the_grace_is_given_back_unharmed(project: Project) -> None:
    [task] = project.enqueue([handlers.work.call(seconds=60)])
    quick = {"CELERS_WORKER_GRACE": "200ms", "CELERS_WORKER_CANCEL_GRACE": "1s"}
    worker = project.worker(settings=quick).ready()
    eventually_sync(lambda: project.history())

    worker.signal(signal.SIGTERM)

    assert worker.ended(within=10) == 0
    view = project.task(task)
    assert (view.state, view.retry_count, view.crash_count) == (TaskState.PENDING, 0, 0)
    assert worker.said("worker stopped")[0]["released"] == 1
    assert [note.what for note in project.history()] == ["start", "end"]


def test_a_second_signal_gives_back_at_once(project: Project) -> None:
    [task] = project.enqueue([handlers.work.call(seconds=60)])
    worker = project.worker(settings={}).ready()
    eventually_sync(lambda: project.history())
    worker.signal(signal.SIGTERM)
    eventually_sync(lambda: worker.said("worker stopping"))
    began = time.monotonic()

    worker.signal(signal.SIGTERM)

    assert worker.ended() == 0
    assert time.monotonic() - began < 4, "neither the 30 s of grace nor the 5 s after it"
    assert project.task(task).state is TaskState.PENDING


def test_a_thread_that_does_not_stop_does_not_keep_the_worker(project: Project) -> None:
    [task] = project.enqueue([handlers.in_thread.call(seconds=60)])
    quick = {"CELERS_WORKER_GRACE": "0s", "CELERS_WORKER_CANCEL_GRACE": "100ms"}
    worker = project.worker(settings=quick).ready()
    eventually_sync(lambda: project.history())

    worker.signal(signal.SIGINT)

    assert worker.ended(within=10) == 0
    assert project.task(task).state is TaskState.PENDING


def test_drain_ends_when_nothing_is_due(project: Project) -> None:
    project.enqueue([handlers.work.call(seconds=0.01) for _ in range(30)])
    project.enqueue([handlers.work.with_(delay="1h").call(seconds=0)])

    worker = project.worker("--drain", "--concurrency", "4")

    assert worker.ended() == 0
    assert project.states() == {TaskState.COMPLETED: 30, TaskState.PENDING: 1}


def test_once_ends_after_one_claim(project: Project) -> None:
    project.enqueue([handlers.work.call(seconds=0.01) for _ in range(30)])

    worker = project.worker("--once", "--concurrency", "4")

    assert worker.ended() == 0
    assert project.states() == {TaskState.COMPLETED: 4, TaskState.PENDING: 26}
