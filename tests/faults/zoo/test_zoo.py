"""Hostile handlers on real workers: the others' tasks are done, and nothing is lost."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import inspect, survey
from celers_worker.store.inspect import TaskView
from tests.e2e.conftest import Everywhere
from tests.e2e.project import QUICK, Project, WorkerProcess
from tests.faults.zoo import beasts
from tests.waiting import eventually_sync

LONG = 90.0
DONE = {TaskState.COMPLETED, TaskState.FAILED}
on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def keeper(project: Project, *arguments: str, **settings: str) -> WorkerProcess:
    """A worker that serves the zoo."""
    return project.worker(
        *("-A", "tests.faults.zoo.beasts", *arguments),
        settings=QUICK | {f"CELERS_WORKER_{name.upper()}": text for name, text in settings.items()},
    )


def good_ones(project: Project, count: int = 20) -> list[UUID]:
    calls = [beasts.good.call() for _ in range(count)]
    calls += [beasts.good_in_thread.call() for _ in range(count // 4)]
    return project.enqueue(calls)


def ended(project: Project, ids: Iterable[UUID]) -> dict[UUID, TaskView] | None:
    """The tasks, if all of them have ended."""
    views = {task_id: project.task(task_id) for task_id in ids}
    return views if all(view.state in DONE for view in views.values()) else None


def all_completed(project: Project, ids: Iterable[UUID]) -> bool:
    return all(project.task(task_id).state is TaskState.COMPLETED for task_id in ids)


def starts(project: Project, task_id: UUID) -> int:
    return sum(one.what == "start" and one.task == task_id for one in project.history())


def test_what_handlers_raise_and_return_ends_their_own_tasks_only(everywhere: Everywhere) -> None:
    def scenario(project: Project) -> None:
        raising = {
            project.enqueue([handler.call(what)])[0]: what
            for handler in (beasts.raises, beasts.raises_in_thread, beasts.raises_in_process)
            for what in beasts.RAISED
        }
        returning = {
            project.enqueue([handler.call(what)])[0]: what
            for handler in (beasts.returns, beasts.returns_in_thread, beasts.returns_in_process)
            for what in beasts.RETURNED
        }
        others = good_ones(project)
        worker = keeper(project, lease="30s").ready()  # processes start, while nobody's may end

        views = eventually_sync(
            lambda: ended(project, [*raising, *returning, *others]), within=LONG
        )

        for task_id in raising:
            view = views[task_id]
            assert (view.state, view.reason) == (TaskState.FAILED, "attempt 1 of 1 failed"), view
            assert len(view.error or "") < 5_000
        for task_id, what in returning.items():
            view = views[task_id]
            # The work is done: it is not done again because nobody can store what it returned.
            assert view.state is TaskState.FAILED, (what, view)
            assert view.reason == "its result cannot be stored"
            assert view.retry_count == 1
            assert starts(project, task_id) == (not view.name.endswith("in_process")), what
        assert all_completed(project, others)
        assert worker.process.poll() is None
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0

    everywhere(scenario)


def test_handlers_that_change_the_process_do_not_stop_it_from_working(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        changing = {
            project.enqueue([handler.call(what)])[0]: what
            for handler in (beasts.changes, beasts.changes_in_thread)
            for what in beasts.CHANGED
        }
        others = good_ones(project)
        # The lease of a worker in use: who holds Python's lock for a second loses a short one.
        worker = keeper(project, lease="30s").ready()

        views = eventually_sync(lambda: ended(project, [*changing, *others]), within=LONG)

        for task_id, what in changing.items():
            view = views[task_id]
            expected = TaskState.FAILED if what == "memory" else TaskState.COMPLETED
            assert (what, view.state) == (what, expected), view
            assert starts(project, task_id) == (what != "memory")
        later = good_ones(project)
        in_process = project.enqueue([beasts.good_in_process.call(1)])
        eventually_sync(lambda: all_completed(project, [*others, *later, *in_process]), within=LONG)
        assert worker.process.poll() is None
        # It said so in its log, and nobody has closed its ears.
        worker.signal(signal.SIGTERM)
        assert worker.ended(within=LONG) == 0
        assert worker.said("worker stopped")
        assert no_copies_of(worker)

    everywhere(scenario)


def no_copies_of(worker: WorkerProcess) -> bool:
    """Whether no process is left that a handler had forked."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                started = (folder / "environ").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            history = str(worker.log_file.parent / "history").encode()
            if state not in "ZX" and history in started:
                found.append(folder.name)
    return not found


def test_handlers_that_never_end_are_abandoned_or_killed(everywhere: Everywhere) -> None:
    def scenario(project: Project) -> None:
        endless = project.enqueue(
            [
                beasts.swallows_cancellation.call(),
                beasts.sleeps_in_thread.call(),
                beasts.sleeps_in_process.call(),
            ]
        )
        others = good_ones(project)
        worker = keeper(project, lease="30s", grace="500ms", cancel_grace="500ms").ready()

        views = eventually_sync(lambda: ended(project, [*endless, *others]), within=LONG)

        for task_id in endless:
            assert views[task_id].state is TaskState.FAILED
            assert "ran longer than its timeout of 500ms" in (views[task_id].error or "")
        assert all_completed(project, others)
        # Of the process nothing is left; the thread and the coroutine keep their permits.
        assert {line["task"] for line in worker.said("handler did not stop")} == {
            "swallows_cancellation",
            "sleeps_in_thread",
        }
        worker.signal(signal.SIGTERM)
        assert worker.ended(within=LONG) == 0

    everywhere(scenario)


def test_a_loop_that_is_blocked_for_three_leases_costs_no_second_run(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        [blocking] = project.enqueue([beasts.blocks_the_loop.call(9)])
        first = keeper(project).ready()
        eventually_sync(lambda: project.history())
        keeper(project).ready()
        others = good_ones(project)

        eventually_sync(lambda: all_completed(project, [blocking, *others]), within=LONG)

        assert starts(project, blocking) == 1
        [*_, told] = first.said("the event loop is blocked by a handler")
        assert any(place.endswith("blocks_the_loop") for place in told["at"])
        assert first.process.poll() is None

    everywhere(scenario)


def test_a_handler_that_holds_pythons_lock_for_three_leases_is_fenced_off(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        keepers = [keeper(project).ready() for _ in range(2)]
        [holding] = project.enqueue([beasts.holds_the_lock_at_first.call(9)])
        eventually_sync(lambda: project.history())
        others = good_ones(project)

        eventually_sync(lambda: all_completed(project, [holding, *others]), within=LONG)

        # Not even the watchdog could renew the lease: the other worker ran it again.
        assert starts(project, holding) == 2
        assert project.task(holding).crash_count == 1
        refused = "outcome refused: the lease was lost"
        eventually_sync(lambda: any(one.said(refused) for one in keepers), within=LONG)
        assert [one.process.poll() for one in keepers] == [None, None]

    everywhere(scenario)


@pytest.mark.timeout(300)
def test_handlers_that_end_their_worker_take_nobody_with_them(everywhere: Everywhere) -> None:
    def scenario(project: Project) -> None:
        others = []
        for how in beasts.DEADLY:  # one after the other, or the first would end the rest unrun
            [deadly] = project.enqueue([beasts.ends_its_process.call(how)])
            others += good_ones(project, 8)
            view = eventually_sync(functools.partial(kept_alive, project, deadly), within=LONG)

            assert starts(project, deadly) == 1
            if how != "closed descriptors":  # which its worker may even survive
                assert view.state is TaskState.FAILED
                assert view.reason == "attempt 1 of 1 died with its worker"
        eventually_sync(
            lambda: kept_alive(project, deadly) and all_completed(project, others), within=LONG
        )

    everywhere(scenario)


def kept_alive(project: Project, task_id: UUID) -> TaskView | None:
    """The task, if it has ended. Whoever ended is started again, as systemd does."""
    if sum(worker.process.poll() is None for worker in project.workers) < 2:
        keeper(project)
    view = project.task(task_id)
    return view if view.state in DONE else None


def test_poison_ends_with_its_reason_its_last_worker_and_the_exit_status(
    everywhere: Everywhere,
) -> None:
    # T24
    def scenario(project: Project) -> None:
        [poison] = project.enqueue([beasts.poison.call()])
        others = good_ones(project)
        # Longer than the test: the supervisor saw the ends, so nobody waits for leases to run out.
        keeper(project, "--processes", "2", "--name", "web", lease="5m", heartbeat_interval="1s")

        views = eventually_sync(lambda: ended(project, [poison, *others]), within=LONG)

        dead = views[poison]
        assert dead.reason == "poison: 3 workers died with it, the last one of SIGKILL"
        assert dead.crash_count == 3
        assert dead.error == f"WorkerLost: worker {dead.worker} ended: SIGKILL"
        attempts = project.direct.run(inspect.attempts_of, poison)
        assert [(one.error_type, one.error_message) for one in attempts] == [
            ("WorkerLost", f"worker {one.worker} ended: SIGKILL") for one in attempts
        ]
        assert len({one.worker for one in attempts}) == 3
        assert all_completed(project, others)

    everywhere(scenario)


def test_a_loop_that_never_comes_back_ends_the_process_and_only_the_culprit_is_a_suspect(
    everywhere: Everywhere,
) -> None:
    def scenario(project: Project) -> None:
        waiting = project.enqueue([beasts.good.call(3600)])
        first = keeper(project, loop_deadline="2s").ready()
        eventually_sync(lambda: project.history())
        [culprit] = project.enqueue([beasts.never_gives_the_loop_back.call()])

        assert first.ended(within=LONG) == 70

        blocked = eventually_sync(lambda: given_back(project, culprit), within=LONG)
        assert blocked.crash_count == 0, "nobody has reaped it yet"
        assert project.task(waiting[0]).state is TaskState.PENDING
        assert project.task(waiting[0]).crash_count == 0
        [told] = first.said("the event loop never came back: this process ends")
        assert told["id"] == str(culprit)
        keeper(project, loop_deadline="2s")
        taken_back = eventually_sync(lambda: reaped(project, culprit), within=LONG)
        assert "its event loop was blocked for" in (taken_back.error or "")
        assert "never_gives_the_loop_back" in (taken_back.error or "")

    everywhere(scenario)


def given_back(project: Project, task_id: UUID) -> TaskView | None:
    view = project.task(task_id)
    workers = project.direct.run(survey.list_workers)
    return view if all(worker.state == "lost" for worker in workers) else None


def reaped(project: Project, task_id: UUID) -> TaskView | None:
    view = project.task(task_id)
    return view if view.crash_count else None


@on_sqlite
def test_nothing_is_left_of_processes_when_their_worker_is_killed(project: Project) -> None:
    worker = project.worker(
        *("-A", "tests.child.handlers"), settings=QUICK | {"CELERS_EXECUTOR_PROCESSES": "2"}
    )
    from tests.child import handlers

    file = project.folder / "pids"
    project.enqueue([handlers.deaf.with_(timeout="1h").call(str(file))])
    pids = eventually_sync(lambda: file.exists() and file.read_text().split(), within=LONG)
    assert len(pids) == 2

    worker.kill()

    eventually_sync(lambda: not any(lives(int(pid)) for pid in pids))
    assert no_copies_of(worker)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@on_sqlite
def test_processes_of_handlers_below_several_worker_processes_end_with_them(
    project: Project,
) -> None:
    from tests.child import handlers

    files = [project.folder / f"pid-{number}" for number in range(3)]
    tasks = project.enqueue([handlers.stubborn.call(str(file)) for file in files])
    worker = project.worker(
        *("-A", "tests.child.handlers", "--processes", "2"),
        settings=QUICK | {"CELERS_WORKER_GRACE": "100ms", "CELERS_WORKER_CANCEL_GRACE": "100ms"},
    )
    eventually_sync(lambda: all(file.exists() and file.read_text() for file in files), within=LONG)
    pids = [int(file.read_text()) for file in files]

    worker.signal(signal.SIGTERM)

    assert worker.ended(within=LONG) == 0
    assert not any(lives(pid) for pid in pids)
    views = [project.task(task) for task in tasks]
    assert [(view.state, view.crash_count, view.retry_count) for view in views] == [
        (TaskState.PENDING, 0, 0)
    ] * 3
    assert os.getpid() not in pids
