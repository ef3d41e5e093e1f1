"""A handler that ends its task in its own transaction has its effect once, whoever dies when."""

from __future__ import annotations

import pytest

from celers_worker.core.task import TaskState
from tests.e2e import handlers
from tests.e2e.conftest import Everywhere
from tests.e2e.project import Project
from tests.store.steps import execute
from tests.waiting import eventually_sync

pytestmark = pytest.mark.xdist_group("effects")


def effects(project: Project) -> int:
    return int(execute(project.direct, "SELECT count(*) FROM celers_queues")[0][0])


def test_a_worker_killed_before_the_commit_leaves_no_effect_and_another_has_it_once(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        [task] = project.enqueue([handlers.killed_before_its_commit.call()])
        first = project.worker().ready()
        first.ended()
        assert effects(project) == 0
        project.worker()

        eventually_sync(lambda: project.task(task).state is TaskState.COMPLETED, within=20)

        assert effects(project) == 1
        assert [note.attempt for note in project.history()] == [1, 2]

    everywhere(scenario)


def test_a_worker_killed_after_the_commit_has_ended_the_task(everywhere: Everywhere) -> None:
    def scenario(project: Project) -> None:
        [task] = project.enqueue([handlers.killed_after_its_commit.call()])
        project.worker().ready().ended()
        project.worker().ready()
        [later] = project.enqueue([handlers.work.call(seconds=0)])

        eventually_sync(lambda: project.task(later).state is TaskState.COMPLETED, within=20)

        assert project.task(task).state is TaskState.COMPLETED
        assert effects(project) == 1
        assert len([n for n in project.history() if n.task == task]) == 1

    everywhere(scenario)
