"""Workflows as the tests of the store make them, and how they move."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from celers_worker.core.outcome import Completed, Outcome, Settlement
from celers_worker.core.task import NewTask, Task
from celers_worker.core.workflow import Edge, NewWorkflow, Policy
from celers_worker.store import Store, inspect
from celers_worker.store.direct import DirectStore
from celers_worker.store.workflow import enqueueing
from celers_worker.store.workflow import inspect as flows
from tests.store.steps import WORKER, any_queue, new_task


def flow(edges: str = "", *, steps: str = "", **more: Any) -> tuple[NewWorkflow, dict[str, UUID]]:
    """A workflow from ``"a>b b>c"``; ``a>b:skip`` has a policy, ``a>b@x`` passes a result to x."""
    tasks: dict[str, NewTask] = {}
    made: list[Edge] = []

    def task(name: str) -> NewTask:
        return tasks.setdefault(name, new_task(name=name, payload=b"{}"))

    for name in steps.split():
        task(name)
    for text in edges.split():
        pair, _, policy = text.partition(":")
        pair, _, into = pair.partition("@")
        parent, child = pair.split(">")
        path = (into,) if into else None
        made.append(Edge(task(parent).id, task(child).id, Policy(policy or "fail"), path))
    new = NewWorkflow(steps=list(tasks.values()), edges=made, **more)
    return new, {name: one.id for name, one in tasks.items()}


def enqueue(direct: DirectStore, edges: str = "", **more: Any) -> tuple[UUID, dict[str, UUID]]:
    new, names = flow(edges, **more)
    direct.run(enqueueing.enqueue, new)
    return new.id, names


async def claim(store: Store) -> dict[str, Task]:
    """What is due, claimed, by name."""
    store.levels.forget()
    return {task.name: task for task in await store.claim(WORKER, any_queue(100))}


async def end(store: Store, task: Task, outcome: Outcome | None = None) -> None:
    """Settle one task; a completed one returns its name."""
    done = Completed(json.dumps(task.name).encode()) if outcome is None else outcome
    assert await store.settle(WORKER, [Settlement(task, done)]) == {task.id}


async def run(store: Store, outcomes: Mapping[str, Outcome] | None = None) -> list[str]:
    """Run everything that is due, one by one, until nothing is; the names in their order."""
    ran = []
    while claimed := await claim(store):
        for name, task in claimed.items():
            await end(store, task, (outcomes or {}).get(name))
            ran.append(name)
    return ran


def states(direct: DirectStore, workflow_id: UUID) -> dict[str, str]:
    """The states of the steps by name, and that of the whole as ``*``."""
    graph = direct.run(flows.graph, workflow_id)
    assert graph is not None
    return {step.name: step.state.value for step in graph.steps} | {"*": graph.workflow.state.value}


def errors(direct: DirectStore, workflow_id: UUID) -> dict[str, str | None]:
    """Why steps did not complete, by name, and the whole as ``*``."""
    graph = direct.run(flows.graph, workflow_id)
    assert graph is not None
    return {step.name: step.error for step in graph.steps} | {"*": graph.workflow.error}


def payload(direct: DirectStore, task_id: UUID) -> Any:
    view = direct.run(inspect.task, task_id)
    assert view is not None
    return json.loads(view.payload)
