"""Real workers follow the orders in their rows, and hold the tasks of a handler that fails."""

from __future__ import annotations

from pathlib import Path

from celers_worker.core.orders import WorkerState
from celers_worker.core.task import TaskState
from celers_worker.store import orders, survey
from tests.e2e import handlers
from tests.e2e.conftest import Everywhere
from tests.e2e.project import Project
from tests.waiting import eventually_sync


def workers(project: Project) -> dict[str, survey.WorkerView]:
    return {view.id: view for view in project.direct.run(survey.list_workers)}


def tell(project: Project, worker: str, state: WorkerState) -> None:
    assert project.direct.run(orders.want_state, [worker], state, "ada@host") == 1


def test_a_worker_is_quieted_scaled_resumed_and_drained(everywhere: Everywhere) -> None:
    def scenario(project: Project) -> None:
        daemon = project.worker("--concurrency", "2").ready()
        [worker] = workers(project)
        tell(project, worker, WorkerState.QUIET)
        eventually_sync(lambda: workers(project)[worker].state == "quiet", within=30)
        project.enqueue([handlers.work.call(seconds=0.01) for _ in range(4)])
        project.direct.run(orders.want_concurrency, [worker], 1, "ada@host")
        eventually_sync(lambda: workers(project)[worker].concurrency == 1, within=30)
        assert project.states() == {TaskState.PENDING: 4}, "it was quiet all the time"
        tell(project, worker, WorkerState.RUNNING)
        eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 4}, within=30)
        tell(project, worker, WorkerState.DRAINING)
        assert daemon.ended(30) == 0
        assert workers(project) == {}

    everywhere(scenario)


def test_a_process_that_is_told_to_stop_is_not_replaced(project: Project) -> None:
    daemon = project.worker("--processes", "2").ready()
    first, second = eventually_sync(lambda: len(workers(project)) == 2 and [*workers(project)])
    tell(project, first, WorkerState.STOPPING)
    eventually_sync(lambda: [*workers(project)] == [second], within=30)
    project.enqueue([handlers.work.call(seconds=0.01)])
    eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 1}, within=30)
    assert [*workers(project)] == [second], "nobody took the place of the one that left"
    tell(project, second, WorkerState.STOPPING)
    assert daemon.ended(30) == 0, "its last process was told to end, and so did it"


def test_a_circuit_holds_the_tasks_of_two_workers_until_the_service_is_back(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        up = Path(project.folder) / "up"
        for _ in range(2):
            project.worker("--concurrency", "2").ready()
        tasks = project.enqueue([handlers.guarded.call(path=str(up)) for _ in range(20)])
        eventually_sync(lambda: project.direct.run(orders.held), within=30)
        # Those under way may fail once more; after that only the one that is tried.
        up.write_text("")
        eventually_sync(lambda: project.states() == {TaskState.COMPLETED: 20}, within=60)

        def closed() -> bool:
            """A worker that opened it late needs one more to try, which another may run first."""
            if set(project.states()) == {TaskState.COMPLETED}:
                project.enqueue([handlers.guarded.call(path=str(up))])
            return project.direct.run(orders.held) == []

        eventually_sync(closed, within=60)
        attempts = [project.task(task).retry_count for task in tasks]
        assert sum(attempts) < 20, "most tasks lost no attempt while the service was away"

    everywhere(scenario)
