"""Workflows: which task waits for which, and what follows when one has ended. Pure.

A workflow is tasks (its *steps*) and edges between them. A step that waits for others is
``blocked`` until every one of its parents has ended; then it is *unblocked*: it becomes pending,
with their results in its payload. Whether it may start, must wait or never will is decided here and
nowhere else, from the states of its parents alone: there is no counter that could drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias
from uuid import UUID

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest
from celers_worker.core.task import LIVE, NewTask, TaskState, new_id

#: A workflow is added in one transaction, and shown on one screen.
MAX_STEPS = 10_000
MAX_EDGES = 100_000

#: A value built of what steps return: the id of a step stands for its result.
Value: TypeAlias = "UUID | list[Value] | dict[str, Value] | None"
#: Where in a child's payload a result belongs: keys of objects and places in lists.
Path: TypeAlias = tuple[str | int, ...]


class WorkflowState(StrEnum):
    """Where a workflow is in its life."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Policy(StrEnum):
    """What becomes of a child whose parent did not complete."""

    FAIL = "fail"
    """It never runs: it is cancelled, and so are those that wait for it."""
    SKIP = "skip"
    """It runs, and the parent's result is left out."""
    CONTINUE = "continue"
    """It runs, with None in the place of the parent's result."""
    ON_FAILURE = "on_failure"
    """It runs only then, with a description of the error; else it never runs."""


#: What a producer may choose; the other one is what ``on_error`` makes.
TOLERANCES = (Policy.FAIL, Policy.SKIP, Policy.CONTINUE)


@dataclass(frozen=True, slots=True)
class Edge:
    """*child* waits for *parent*; its result goes to *path* in the child's payload, if anywhere."""

    parent: UUID
    child: UUID
    policy: Policy = Policy.FAIL
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWorkflow:
    """A workflow as its producer describes it; the ids are made here, so it can be repeated.

    *result*: what the whole returns. *timeout* counts from the database's now.
    """

    id: UUID = field(default_factory=new_id)
    name: str = ""
    steps: Sequence[NewTask]
    edges: Sequence[Edge]
    result: Value = None
    timeout: timedelta | None = None

    @property
    def blocked(self) -> frozenset[UUID]:
        """The steps that wait for others."""
        return frozenset(edge.child for edge in self.edges)

    def check(self) -> None:
        """Raise ConfigurationError if it is empty or too large."""
        if not self.steps:
            raise ConfigurationError("the workflow has no step: there is nothing to do.")
        if len(self.steps) > MAX_STEPS:
            raise ConfigurationError(
                f"the workflow has {len(self.steps):,} steps, more than {MAX_STEPS:,}: let a step "
                "work on several items (chunks), or enqueue several workflows."
            )
        if len(self.edges) > MAX_EDGES:
            raise ConfigurationError(
                f"the workflow has {len(self.edges):,} edges, more than {MAX_EDGES:,}: where one "
                "group follows another, put a step between them that collects."
            )


# --- what may start ---


@dataclass(frozen=True, slots=True)
class Parent:
    """A parent as its child sees it; *state* is None while it lives."""

    id: UUID
    state: TaskState | None
    policy: Policy


class Verdict(StrEnum):
    """What is to be done with a blocked step."""

    WAIT = "wait"
    RUN = "run"
    GIVE_UP = "give up"
    """A parent did not complete, and the step cannot do without it."""
    SPARE = "spare"
    """It was there for a failure that did not come."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and for ``GIVE_UP`` the parent that it is due to."""

    verdict: Verdict
    because: UUID | None = None


def decide(parents: Iterable[Parent]) -> Decision:
    """Decide about a step from the states of its parents, given in their order.

    As soon as one parent makes the step impossible it is given up, whatever the others do.
    """
    waits = False
    for parent in parents:
        if parent.state is None or parent.state in LIVE:
            waits = True
        elif parent.policy is Policy.ON_FAILURE:
            if parent.state not in (TaskState.FAILED, TaskState.EXPIRED):
                return Decision(Verdict.SPARE)
        elif parent.policy is Policy.FAIL and parent.state is not TaskState.COMPLETED:
            return Decision(Verdict.GIVE_UP, parent.id)
    return Decision(Verdict.WAIT if waits else Verdict.RUN)


def state_of_workflow(last: Iterable[TaskState], *, cancelled: bool) -> WorkflowState:
    """How a workflow ended: *last* are the states of the steps that no other step waits for.

    A failure that every child tolerated (``skip``, ``continue``) does not show in them.
    *cancelled*: a person stopped it before it came to its end.
    """
    if all(state is TaskState.COMPLETED for state in last):
        return WorkflowState.COMPLETED
    return WorkflowState.CANCELLED if cancelled else WorkflowState.FAILED


# --- what can be enqueued ---


def in_order(after: Mapping[str, Iterable[str]]) -> list[str]:
    """The names of a graph, each after those it depends on.

    Raises ConfigurationError for a name that is not there, and for a cycle, which it names.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, needed in after.items():
        sorter.add(name)
        for other in needed:
            if other not in after:
                raise ConfigurationError(
                    f"{name!r} depends on {other!r}, which is no step of this workflow."
                    f"{nearest(other, after)}"
                )
            sorter.add(name, other)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise ConfigurationError(
            f"the steps wait for each other in a circle, so none could start: {circle}."
        ) from None
