"""Permits, pauses and cancellations, on real workers."""

import itertools
import time
from pathlib import Path

from celers_worker.core.task import TaskState
from celers_worker.store import control
from celers_worker.store.inspect import TaskFilter
from tests.e2e import handlers
from tests.e2e.project import Note, Project
from tests.waiting import eventually_sync


def peak(notes: list[Note]) -> int:
    """How many ran at once at most, by the one clock of the machine."""
    steps = sorted(notes, key=lambda note: (note.at, note.what == "start"))
    return max(itertools.accumulate(1 if note.what == "start" else -1 for note in steps))


def test_no_tier_of_permits_is_ever_exceeded(project: Project) -> None:
    # T8
    narrow = project.enqueue([handlers.narrow.call(seconds=0.002) for _ in range(600)])
    limited = project.enqueue([handlers.limited.call(seconds=0.002) for _ in range(400)])
    project.enqueue([handlers.work.call(seconds=0.002) for _ in range(1_000)])
    project.worker("-c", "12", "-q", "narrow:5", "-q", "many", "-q", "default")

    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 2_000}, within=50)

    notes = project.history()
    of = dict.fromkeys(narrow, "narrow") | dict.fromkeys(limited, "limited")
    assert peak(notes) <= 12
    assert peak([note for note in notes if of.get(note.task) == "narrow"]) <= 5
    assert peak([note for note in notes if of.get(note.task) == "limited"]) <= 3


def test_a_congested_queue_burns_no_attempt(project: Project) -> None:
    # T21
    project.enqueue([handlers.narrow.call(seconds=0.02) for _ in range(30)])
    project.worker("-q", "narrow:1")

    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 30}, within=30)

    assert {note.attempt for note in project.history()} == {1}
    assert peak(project.history()) == 1


def test_a_pause_stops_every_worker_and_resume_starts_them(project: Project) -> None:
    # T11
    for _ in range(2):
        project.worker("--concurrency", "2").ready()
    project.enqueue([handlers.work.call(seconds=0.02) for _ in range(300)])
    eventually_sync(lambda: len({note.process for note in project.history()}) == 2)

    project.direct.run(control.pause, "default", "maintenance")
    paused = time.monotonic_ns()

    eventually_sync(lambda: TaskState.PROCESSING not in project.states())
    starts = [note.at for note in project.history() if note.what == "start"]
    assert max(starts) - paused <= 1_000_000_000, "the pause of one poll"
    left = project.states()[TaskState.PENDING]
    assert left > 0
    project.enqueue([handlers.narrow.call(seconds=0)])  # another queue goes on
    eventually_sync(lambda: project.states()[TaskState.PENDING] == left)
    project.direct.run(control.resume, "default")
    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 301}, within=30)


def test_a_running_task_is_cancelled_from_another_process(project: Project, tmp_path: Path) -> None:
    # T28
    [task] = project.enqueue([handlers.wait_for_file.call(path=str(tmp_path / "never"))])
    project.worker().ready()
    eventually_sync(lambda: project.history())

    project.direct.run(control.cancel, TaskFilter(ids=[task]), "no longer wanted")

    eventually_sync(lambda: project.task(task).state is TaskState.CANCELLED)
    assert project.task(task).error == "no longer wanted"
    assert [note.what for note in project.history()] == ["start", "end"]
