"""The real store does what the reference model does, step by step, on every database.

Hypothesis makes up thousands of steps: producers, workers that settle in time, late or twice,
workers that are lost, people who cancel, requeue, pause and move. After each the tables are
compared whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from celers_worker.core.changes import Changes
from celers_worker.core.errors import CelersError
from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Outcome,
    Release,
    Retry,
    Settlement,
)
from celers_worker.core.task import ARCHIVED, LIVE, Demand, Enqueued, NewTask, Task, TaskState
from celers_worker.store import Store, change, control, inspect, maintenance, make_store
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.levels import Levels
from celers_worker.store.schema import archive, attempts, dead_letters, metadata, tasks
from tests.model.reference import MAX_CRASHES, Modelled, Reference
from tests.store.steps import FAILURE, lose_worker, start_worker

T = TypeVar("T")

QUEUES = ["mail", "reports"]
NAMES = ["send", "render"]
SLOTS = ["a", "b", "c"]
LATER = timedelta(days=1)
AT_ONCE = timedelta(0)
OUTCOMES: list[Outcome] = [
    Completed(),
    Completed(b'"sent"'),
    *[Retry(AT_ONCE, FAILURE)] * 3,
    Retry(LATER, FAILURE),
    *[Release(), Release(AT_ONCE)] * 2,
    Release(LATER, "not now"),
    Cancelled("its handler said so"),
    Expired(),
    Dead("gave up", FAILURE),
]

Run = Callable[[Coroutine[Any, Any, Any]], Any]

queues = st.sampled_from(QUEUES)
#: Of a list the newest first: what lies far back is mostly over.
picks = st.integers(0, 9)
rarely = st.sampled_from([False, False, False, True])
choices = st.lists(
    st.tuples(picks, st.sampled_from(OUTCOMES)),
    min_size=1,
    max_size=4,
    unique_by=lambda choice: choice[0],
)


class Machine(RuleBasedStateMachine):
    """One database, emptied for each example."""

    store: Store
    run: Run

    def __init__(self) -> None:
        super().__init__()
        self.reference = Reference()
        self.workers: dict[str, str] = {}
        #: Every run there ever was, by whom: those that lost their leases try to settle too.
        self.runs: list[tuple[str, Task]] = []

    @initialize()
    def empty(self) -> None:
        self.operate(_delete_all)
        self.store.levels = Levels()
        for slot in SLOTS:
            self._new_worker(slot)
        self._enqueue([_new(queue, name) for queue in QUEUES for name in NAMES])

    def operate(self, operation: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        answer: T = type(self).run(self.store.run(operation, *args, **kwargs))
        return answer

    def _new_worker(self, slot: str) -> None:
        # A lost worker never comes back under its id.
        self.workers[slot] = f"{slot}-{uuid4()}"
        type(self).run(start_worker(self.store, self.workers[slot]))

    def _pick(self, of: list[Any], pick: int) -> Any:
        return of[-1 - pick % len(of)]

    # --- producers ---

    @rule(
        queue=queues,
        names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6),
        priority=st.integers(-1, 1),
        max_retries=st.integers(0, 3),
        later=rarely,
    )
    def enqueue(
        self, queue: str, names: list[str], priority: int, max_retries: int, later: bool
    ) -> None:
        delay = LATER if later else AT_ONCE
        self._enqueue(
            [
                _new(queue, name, priority=priority, max_retries=max_retries, delay=delay)
                for name in names
            ]
        )

    @rule(queue=queues, count=st.integers(1, 2), key=st.sampled_from(["x", "y"]), twice=rarely)
    def enqueue_with_a_key(self, queue: str, count: int, key: str, twice: bool) -> None:
        new = [_new(queue, "send", unique_key=key) for _ in range(count)]
        expected = self._enqueue(new)
        if twice:  # the answer was lost, so it asks again
            again = self.operate(self.store.transaction.enqueue, new, repeated=True)
            assert [one.id for one in again] == expected

    def _enqueue(self, new: list[NewTask]) -> list[UUID]:
        answers = type(self).run(self.store.enqueue(new))
        expected = [self.reference.enqueue(Modelled.of(one)) for one in new]
        told = [Enqueued(owner, owner != one.id) for one, owner in zip(new, expected, strict=True)]
        assert answers == told
        return expected

    # --- workers ---

    @rule(slot=st.sampled_from(SLOTS))
    def claim_all(self, slot: str) -> None:
        self.claim(slot, total=6, rooms={}, others=6)

    @rule(
        slot=st.sampled_from(SLOTS),
        total=st.integers(1, 6),
        rooms=st.dictionaries(queues, st.integers(0, 4), max_size=1),
        others=st.sampled_from([6, 6, 6, 1, None]),
    )
    def claim(self, slot: str, total: int, rooms: dict[str, int], others: int | None) -> None:
        demand = Demand(total, rooms, others)
        self.store.levels = Levels()
        due_at = self.operate(_due_at)
        claimed = self._claim(slot, demand, self.reference.expected(demand, due_at))
        assert [task.scheduled_at for task in claimed] == [due_at[task.id] for task in claimed]

    @rule(
        slot=st.sampled_from(SLOTS),
        total=st.integers(1, 6),
        rooms=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4), min_size=1),
    )
    def claim_with_limits_of_handlers(self, slot: str, total: int, rooms: dict[str, int]) -> None:
        demand = Demand(total, others=total, handlers=rooms)
        allowed = {task.id for task in self.reference.claimable(demand)}
        claimed = self._claim(slot, demand)
        assert {task.id for task in claimed} <= allowed
        for name, room in rooms.items():
            assert sum(task.name == name for task in claimed) <= room

    def _claim(
        self, slot: str, demand: Demand, expected: list[list[UUID]] | None = None
    ) -> list[Task]:
        worker = self.workers[slot]
        claimed: list[Task] = type(self).run(self.store.claim(worker, demand))
        ids = [task.id for task in claimed]
        if expected is not None:
            assert ids in expected
        assert len(ids) == len(set(ids)) <= demand.total
        self.reference.claim(worker, ids)
        for task in claimed:
            modelled = self.reference.tasks[task.id]
            assert task.lease == modelled.lease
            assert task.attempt == modelled.retry_count + modelled.crash_count + 1
            self.runs.append((worker, task))
        return claimed

    @precondition(lambda self: self.held)
    @rule(choices=choices)
    def settle(self, choices: list[tuple[int, Outcome]]) -> None:
        self._settle(self.held, choices)

    @precondition(lambda self: self.runs)
    @rule(choices=choices)
    def settle_again_or_late(self, choices: list[tuple[int, Outcome]]) -> None:
        """Settle whatever was run once: it may be settled, or have lost its lease."""
        self._settle(self.runs, choices)

    @property
    def held(self) -> list[tuple[str, Task]]:
        """The runs that hold their leases."""
        return [(worker, task) for worker, task in self.runs if self._holds(task)]

    def _settle(self, runs: list[tuple[str, Task]], choices: list[tuple[int, Outcome]]) -> None:
        chosen: dict[tuple[UUID, int], tuple[str, Settlement]] = {}
        for pick, outcome in choices:
            worker, task = self._pick(runs, pick)
            chosen[task.id, task.lease] = worker, Settlement(task, outcome)
        by_worker: dict[str, list[Settlement]] = {}
        for worker, settlement in chosen.values():
            by_worker.setdefault(worker, []).append(settlement)
        for worker, settlements in by_worker.items():
            held = {one.task.id for one in settlements if self._holds(one.task)}
            settled = type(self).run(self.store.settle(worker, settlements))
            assert settled == held
            for one in settlements:
                if self._holds(one.task):
                    self.reference.settle(one.task.id, one.outcome)

    def _holds(self, task: Task) -> bool:
        modelled = self.reference.tasks[task.id]
        return modelled.state is TaskState.PROCESSING and modelled.lease == task.lease

    @rule(slot=st.sampled_from(SLOTS))
    def lose_a_worker(self, slot: str) -> None:
        worker = self.workers[slot]
        type(self).run(lose_worker(self.store, worker))
        self.reference.lost.add(worker)
        assert not self.operate(maintenance.renew, worker, LATER), "a lost lease was renewed"
        self._new_worker(slot)

    @rule(orphans=st.booleans())
    def reap(self, orphans: bool) -> None:
        reaped = self.operate(maintenance.reap, max_crashes=MAX_CRASHES, orphans=orphans)
        assert (set(reaped.released), set(reaped.buried)) == self.reference.reap()

    @rule(slot=st.sampled_from(SLOTS), known=st.booleans())
    def recover(self, slot: str, known: bool) -> None:
        """Give back what a claim without an answer had leased; what is known is kept."""
        worker = self.workers[slot]
        held = [task for task in self.reference.tasks.values() if task.worker == worker]
        recovered = self.operate(
            maintenance.recover, worker, [task.id for task in held] if known else []
        )
        assert recovered == (0 if known else len(held))
        for task in [] if known else held:
            cancel = task.cancel
            task.go_back()
            task.cancel = cancel

    # --- people ---

    @precondition(lambda self: self.reference.tasks)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        task_id = self._pick(list(self.reference.tasks), pick)
        self.operate(control.cancel, TaskFilter(ids=[task_id]), "not wanted")
        self.reference.cancel(task_id)

    @precondition(lambda self: self.reference.tasks)
    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        task = self._pick(list(self.reference.tasks.values()), pick)
        was = task.state
        revived = True
        if was is TaskState.PENDING:
            task.due = True
        elif was in (TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED):
            revived = self.reference.revive(task.id)
        if revived:
            assert self.operate(control.retry, task.id) is was
        else:
            with pytest.raises(CelersError, match="unique key"):
                self.operate(control.retry, task.id)

    @rule(queue=queues)
    def requeue(self, queue: str) -> None:
        dead = [task for task in self.reference.in_state(TaskState.FAILED) if task.queue == queue]
        requeued = self.operate(control.requeue, TaskFilter(queue=queue))
        # Of two with one key the first to be inserted wins, and that is the database's choice.
        assert {*requeued.ids, *requeued.conflicts} == {task.id for task in dead}
        for task_id in requeued.ids:
            assert self.reference.revive(task_id)
        for task_id in requeued.conflicts:
            assert self.reference.live_with_key(self.reference.tasks[task_id].unique_key)

    @rule(queue=queues)
    def pause_or_resume(self, queue: str) -> None:
        if queue in self.reference.paused:
            assert self.operate(control.resume, queue)
            self.reference.paused.remove(queue)
        else:
            assert not self.operate(control.resume, queue)
            self.operate(control.pause, queue, None)
            self.reference.paused.add(queue)

    @rule(queue=queues, other=queues, priority=st.integers(-1, 1))
    def move(self, queue: str, other: str, priority: int) -> None:
        waiting = [
            task for task in self.reference.in_state(TaskState.PENDING) if task.queue == queue
        ]
        moved = self.operate(
            change.change_many, TaskFilter(queue=queue), Changes(priority=priority, queue=other)
        )
        assert moved == sorted(task.id for task in waiting)
        for task in waiting:
            task.queue, task.priority = other, priority

    # --- what must always hold ---

    @invariant()
    def the_tables_are_as_the_model_has_them(self) -> None:
        live, archived, dead, failed = self.operate(_tables)
        assert live == set(self.reference.rows(*LIVE))
        assert archived == set(self.reference.rows(*ARCHIVED))
        assert dead == set(self.reference.rows(TaskState.FAILED))
        assert sorted(failed) == sorted(self.reference.failed)

    def teardown(self) -> None:
        """Nothing was lost: all tasks can be listed, wherever they are."""
        views = self.operate(inspect.list_tasks, TaskFilter(), limit=10_000)
        found = {view.id: view.state for view in views}
        assert found == {task.id: task.state for task in self.reference.tasks.values()}


def _new(queue: str, name: str, **options: Any) -> NewTask:
    return NewTask(queue=queue, name=name, payload=b"{}", **options)


def _delete_all(transaction: Any) -> None:
    for table in reversed(metadata.sorted_tables):
        transaction.connection.execute(delete(table))


def _due_at(transaction: Any) -> dict[UUID, Any]:
    rows = transaction.connection.execute(select(tasks.c.id, tasks.c.scheduled_at))
    return {row.id: row.scheduled_at for row in rows}


def _tables(transaction: Any) -> tuple[set[Any], set[Any], set[Any], list[Any]]:
    def rows_of(table: Any) -> set[Any]:
        c = table.c
        columns = (c.id, c.state, c.queue_name, c.task_name, c.priority, c.retry_count)
        more = (c.crash_count, c.max_retries, c.lease, c.unique_key)
        rows = [tuple(row) for row in transaction.connection.execute(select(*columns, *more))]
        assert len(rows) == len(set(rows))
        return set(rows)

    failed = transaction.connection.execute(select(attempts.c.task_id, attempts.c.lease)).all()
    return (
        *(rows_of(tasks), rows_of(archive), rows_of(dead_letters)),
        [(row.task_id, row.lease) for row in failed],
    )


def test_the_store_does_what_the_model_does(migrated_url: str) -> None:
    with asyncio.Runner() as runner:
        store = make_store(migrated_url)
        runner.run(store.open())

        class OnThisDatabase(Machine):
            pass

        OnThisDatabase.store = store
        OnThisDatabase.run = staticmethod(runner.run)
        try:
            run_state_machine_as_test(
                OnThisDatabase,
                settings=settings(
                    max_examples=20,
                    stateful_step_count=100,
                    deadline=None,
                    # To look for the shortest failure would take minutes of a database's time.
                    phases=[Phase.generate],
                    derandomize=True,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(store.close())
