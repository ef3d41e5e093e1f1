"""Workflows with real workers that are killed in the middle (T18)."""

from __future__ import annotations

from collections import Counter

from celers_worker.config import load_config
from celers_worker.store.workflow import enqueueing, inspect
from celers_worker.store.workflow.inspect import WorkflowEnding
from celers_worker.workflow import chain, chord, group
from tests.e2e import handlers
from tests.e2e.conftest import Everywhere
from tests.e2e.project import QUICK, Project
from tests.waiting import eventually_sync

PARTS = 12


def test_workers_killed_again_and_again_neither_lose_nor_double_a_step(
    everywhere: Everywhere,
) -> None:
    # T18
    everywhere(kill_workers_of_a_chord_of_chords)


def kill_workers_of_a_chord_of_chords(project: Project) -> None:
    app = handlers.app
    app.client.config = load_config(environment={}).config
    parts = [
        chain(
            handlers.part.call(number=number, seconds=0.1),
            group(handlers.part.step(seconds=0.05), handlers.part.step(seconds=0.05)),
            handlers.collect,
        )
        for number in range(PARTS)
    ]
    planned = app.workflow(chord(parts, handlers.collect), name="sum").planned()
    project.direct.run(enqueueing.enqueue, planned)

    def ending() -> WorkflowEnding:
        found = project.direct.run(inspect.ending_of, planned.id)
        assert found is not None
        return found

    # Killed by us again and again: that is no reason to bury a task that was always there.
    patient = {**QUICK, "CELERS_WORKER_MAX_CRASHES": "100"}
    held = 0
    for goal in (5, 20, 35):
        worker = project.worker("--concurrency", "4", settings=patient).ready()
        eventually_sync(
            lambda goal=goal: len(project.history()) >= goal or ending().state != "running",
            within=30,
        )
        worker.kill()
        held += project.states()["processing"]
    project.worker("--concurrency", "4", settings=patient).ready()
    eventually_sync(lambda: ending().state != "running", within=90)

    assert ending() == WorkflowEnding(ending().state, value=2 * sum(range(PARTS)))
    assert ending().state == "completed"
    # What a dead worker still held, running or not yet written, ran again; nothing else did.
    ends = Counter(note.task for note in project.history() if note.what == "end")
    assert set(ends) == {task.id for task in planned.steps}
    assert sum(ends.values()) <= len(planned.steps) + held
    assert project.direct.run(inspect.workflow, planned.id).counts == {  # type: ignore[union-attr]
        "completed": len(planned.steps)
    }
