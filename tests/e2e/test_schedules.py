"""Schedules on real workers: every tick once, whoever lives and whoever dies."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

from celers_worker.core.task import TaskState
from celers_worker.store import schedule_control
from tests.e2e.conftest import Everywhere
from tests.e2e.project import Project
from tests.store import scheduling
from tests.waiting import eventually_sync

SECOND = timedelta(seconds=1)
APP = ("-m", "tests.e2e.scheduled")


def fired(project: Project) -> dict[UUID, object]:
    return {
        tick.task_id: tick.tick
        for tick in scheduling.ticks(project.direct)
        if tick.outcome == "fired"
    }


def test_two_workers_fire_every_tick_once_also_when_one_is_killed(everywhere: Everywhere) -> None:
    # T16
    def scenario(project: Project) -> None:
        first, second = (project.worker(*APP).ready() for _ in range(2))
        eventually_sync(lambda: len(fired(project)) >= 3, within=30)
        first.kill()
        then = len(fired(project))
        eventually_sync(lambda: len(fired(project)) >= then + 3, within=30)
        project.direct.run(schedule_control.pause, "often", "the test has seen enough")
        tasks = fired(project)
        # What the killed one held runs again when its lease has ended.
        eventually_sync(lambda: project.states() == {TaskState.COMPLETED: len(tasks)}, within=30)
        ticks = sorted(tasks.values())
        assert all(later - earlier == SECOND for earlier, later in pairwise(ticks)), ticks
        assert project.ids_of(TaskState.COMPLETED) == set(tasks)
        starts = [note for note in project.history() if note.what == "start"]
        assert {note.task for note in starts} == set(tasks)
        crashed = {note.task for note in starts if note.attempt > 1}
        assert all(
            count == 1
            for task, count in Counter(note.task for note in starts).items()
            if task not in crashed
        )
        second.signal(signal.SIGTERM)
        assert second.ended() == 0

    everywhere(scenario)


def test_a_schedule_that_is_added_is_noticed_by_workers_that_run(everywhere: Everywhere) -> None:
    def scenario(project: Project) -> None:
        project.worker(settings={"CELERS_WORKER_SCHEDULE_INTERVAL": "500ms"}).ready()
        wanted = scheduling.schedule("new", "work", every="1s", arguments={"seconds": 0})
        scheduling.add(project.direct, wanted)
        eventually_sync(lambda: project.ids_of(TaskState.COMPLETED), within=20)
        project.direct.run(schedule_control.remove, "new")

    everywhere(scenario)
