"""A small reference model of the queue: what the promises say, in dictionaries, without SQL.

Times are left to the database: the model knows what is due and in which states tasks are, and reads
from the table only the instants by which due tasks are ordered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import permutations
from uuid import UUID

from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Outcome,
    Release,
    Retry,
)
from celers_worker.core.task import LIVE, TRANSITIONS, Demand, NewTask, TaskState

MAX_CRASHES = 3


@dataclass
class Modelled:
    """A task as it should be."""

    id: UUID
    queue: str
    name: str
    priority: int
    max_retries: int
    unique_key: str | None
    due: bool
    state: TaskState = TaskState.PENDING
    retry_count: int = 0
    crash_count: int = 0
    lease: int = 0
    worker: str | None = None
    cancel: bool = False
    """Whether its run was asked to stop."""

    @classmethod
    def of(cls, new: NewTask) -> Modelled:
        """What a producer adds."""
        return cls(
            *(new.id, new.queue, new.name, new.priority, new.max_retries, new.unique_key),
            due=not new.delay,
        )

    def become(self, state: TaskState) -> None:
        """Change the state, which must be a legal transition."""
        assert state in TRANSITIONS[self.state], (self.state, state)
        self.state = state
        if state is not TaskState.PROCESSING:
            self.worker, self.cancel = None, False

    def go_back(self, *, due: bool = True) -> None:
        """Wait again; the lease rises, so that the last run can write nothing more."""
        self.become(TaskState.PENDING)
        self.lease += 1
        self.due = due


class Reference:
    """All tasks there ever were, the paused queues, and which workers live."""

    def __init__(self) -> None:
        self.tasks: dict[UUID, Modelled] = {}
        self.paused: set[str] = set()
        self.lost: set[str] = set()
        self.failed: set[tuple[UUID, int]] = set()
        """Each attempt that failed, by task and lease."""

    def in_state(self, *states: TaskState) -> list[Modelled]:
        """The tasks in these states."""
        return [task for task in self.tasks.values() if task.state in states]

    def live_with_key(self, key: str | None) -> Modelled | None:
        """Who has this unique key."""
        found = [task for task in self.in_state(*LIVE) if task.unique_key == key]
        assert len(found) <= 1 or key is None, "a unique key has two tasks"
        return found[0] if found and key is not None else None

    def enqueue(self, task: Modelled) -> UUID:
        """Add *task*; the id of who has its key."""
        owner = self.live_with_key(task.unique_key)
        if owner is not None:
            return owner.id
        self.tasks[task.id] = task
        return task.id

    def claimable(self, demand: Demand) -> list[Modelled]:
        """What a claim may take, whatever its limits."""
        return [
            task
            for task in self.in_state(TaskState.PENDING)
            if task.due
            and task.queue not in self.paused
            and demand.room(task.queue) > 0
            and task.name not in demand.excluded
        ]

    def expected(self, demand: Demand, due_at: Mapping[UUID, datetime]) -> list[list[UUID]]:
        """What a claim may take that knows every level, in its order; for demands without handlers.

        The highest priority first, then what became due first, then ids. Of a queue with less room
        than the whole, one priority at a time. Of two queues that became due in the same instant
        either may be the first.
        """
        queues = sorted({task.queue for task in self.tasks.values()})
        return [self._taken(demand, due_at, order) for order in permutations(queues)]

    def _taken(
        self, demand: Demand, due_at: Mapping[UUID, datetime], order: Sequence[str]
    ) -> list[UUID]:
        ready = self.claimable(demand)
        heads: dict[tuple[str, int], datetime] = {}
        for task in ready:
            key = (task.queue, task.priority)
            heads[key] = min(heads.get(key, due_at[task.id]), due_at[task.id])
        taken: list[Modelled] = []
        limited: set[str] = set()
        for queue, priority in sorted(
            heads, key=lambda key: (-key[1], heads[key], order.index(key[0]))
        ):
            if queue in limited:
                continue
            if demand.room(queue) < demand.total:
                limited.add(queue)
            level = [task for task in ready if (task.queue, task.priority) == (queue, priority)]
            level.sort(key=lambda task: (due_at[task.id], task.id))
            taken += level[: min(demand.room(queue), demand.total - len(taken))]
        return [task.id for task in sorted(taken, key=lambda t: (-t.priority, due_at[t.id], t.id))]

    def claim(self, worker: str, ids: Iterable[UUID]) -> None:
        """Lease tasks to *worker*."""
        for task_id in ids:
            task = self.tasks[task_id]
            task.become(TaskState.PROCESSING)
            task.lease += 1
            task.worker = worker

    def settle(self, task_id: UUID, outcome: Outcome) -> None:
        """Write an outcome under a lease that is held."""
        task = self.tasks[task_id]
        if task.cancel and isinstance(outcome, Retry | Release):
            outcome = Cancelled("asked to stop")
        match outcome:
            case Completed():
                task.become(TaskState.COMPLETED)
            case Cancelled():
                task.become(TaskState.CANCELLED)
            case Expired():
                task.become(TaskState.EXPIRED)
            case Dead():
                self.failed.add((task.id, task.lease))
                task.retry_count += 1
                task.become(TaskState.FAILED)
            case Retry():
                self.failed.add((task.id, task.lease))
                task.retry_count += 1
                task.go_back(due=not outcome.delay)
            case Release():
                task.go_back(due=not outcome.delay)

    def cancel(self, task_id: UUID) -> None:
        """A person cancels a task."""
        task = self.tasks[task_id]
        if task.state is TaskState.PENDING:
            task.become(TaskState.CANCELLED)
        elif task.state is TaskState.PROCESSING:
            task.cancel = True

    def reap(self) -> tuple[set[UUID], set[UUID]]:
        """Take back the tasks of lost workers: those released, and those buried."""
        released, buried = set(), set()
        for task in self.in_state(TaskState.PROCESSING):
            if task.worker not in self.lost:
                continue
            if task.cancel:
                task.become(TaskState.CANCELLED)
                continue
            self.failed.add((task.id, task.lease))
            task.crash_count += 1
            used_up = task.retry_count + task.crash_count > task.max_retries
            if task.crash_count >= MAX_CRASHES or used_up:
                task.become(TaskState.FAILED)
                buried.add(task.id)
            else:
                task.go_back()
                released.add(task.id)
        return released, buried

    def revive(self, task_id: UUID) -> bool:
        """Bring an ended task back; False: a live task has its unique key."""
        task = self.tasks[task_id]
        if self.live_with_key(task.unique_key) is not None:
            return False
        task.go_back()
        task.retry_count = task.crash_count = 0
        return True

    def rows(self, *states: TaskState) -> Iterator[tuple[object, ...]]:
        """The rows that a table of these states should have."""
        for task in self.in_state(*states):
            yield (
                *(task.id, task.state.value, task.queue, task.name, task.priority),
                *(task.retry_count, task.crash_count, task.max_retries, task.lease),
                task.unique_key,
            )
