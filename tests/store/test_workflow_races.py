"""Parents that end at once, and deaths at every point (T18): nothing hangs, nothing doubles."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from celers_worker.core.outcome import Completed, Dead, Failure, Outcome, Settlement
from celers_worker.core.task import Task, TaskState
from celers_worker.store import Store, control, inspect
from celers_worker.store.direct import DirectStore
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.workflow import reopening, stopping
from tests.store.conftest import OpenStore
from tests.store.flows import claim, enqueue, run, states
from tests.store.steps import WORKER, any_queue, live_rows

on_servers = pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
BROKEN = Dead("gave up", Failure("ValueError", "no such page"))


@on_servers
@pytest.mark.parametrize("second", [Completed(), BROKEN], ids=["completed", "dead"])
async def test_two_parents_that_end_at_once_see_each_other(
    store: Store, direct: DirectStore, second: Outcome
) -> None:
    workflow, names = enqueue(direct, "a>c b>c")
    claimed = await claim(store)

    def settle(transaction: Any, name: str, outcome: Outcome) -> None:
        transaction.settle(WORKER, [Settlement(claimed[name], outcome)])

    with direct.engine.connect() as connection:
        # Everything is written, and nothing of it can be seen yet.
        settle(direct.transaction(connection), "a", Completed())
        other = threading.Thread(target=direct.run, args=(settle, "b", second))
        other.start()
        connection.commit()
    other.join(20)
    assert not other.is_alive()
    child = direct.run(inspect.task, names["c"])
    assert child is not None
    if isinstance(second, Completed):
        assert child.state is TaskState.PENDING
        assert await run(store) == ["c"]
    else:
        assert child.state is TaskState.CANCELLED
        assert states(direct, workflow)["*"] == "failed"


async def test_many_parents_settled_by_many_workers_unblock_their_child_once(
    open_store: OpenStore, direct: DirectStore
) -> None:
    parents = [f"p{number}" for number in range(24)]
    edges = " ".join(f"{name}>all" for name in parents) + " all>end"
    workflow, _ = enqueue(direct, edges)
    stores = [await open_store() for _ in range(4)]
    claimed = await stores[0].claim(WORKER, any_queue(100))
    assert len(claimed) == 24
    settled = await asyncio.gather(
        *(
            stores[place % 4].settle(WORKER, [Settlement(task, Completed(b"1"))])
            for place, task in enumerate(claimed)
        )
    )
    assert all(len(one) == 1 for one in settled)
    assert await run(stores[1]) == ["all", "end"]
    assert set(states(direct, workflow).values()) == {"completed"}


async def test_the_last_steps_that_end_at_once_end_the_workflow(
    open_store: OpenStore, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "", steps=" ".join(f"p{number}" for number in range(12)))
    stores = [await open_store() for _ in range(4)]
    claimed = await stores[0].claim(WORKER, any_queue(100))
    await asyncio.gather(
        *(
            stores[place % 4].settle(WORKER, [Settlement(task, Completed())])
            for place, task in enumerate(claimed)
        )
    )
    assert set(states(direct, workflow).values()) == {"completed"}


async def test_steps_that_end_while_the_whole_is_cancelled_leave_nothing_behind(
    open_store: OpenStore, direct: DirectStore
) -> None:
    stores = [await open_store() for _ in range(3)]
    for _ in range(5):
        workflow, names = enqueue(direct, "a>c b>c c>d", steps="x")
        claimed = await claim(stores[0])
        assert sorted(claimed) == ["a", "b", "x"]
        done = [stores[0].settle(WORKER, [Settlement(claimed["a"], Completed())])]
        done.append(stores[1].settle(WORKER, [Settlement(claimed["b"], Completed())]))
        one = TaskFilter(ids=[names["c"]])
        await asyncio.gather(
            *done,
            stores[2].run(stopping.cancel, workflow, "no"),
            stores[1].run(control.cancel, one, "nor this"),
        )
        await stores[0].settle(WORKER, [Settlement(claimed["x"], Completed())])
        found = states(direct, workflow)
        assert (found["c"], found["d"], found["*"]) == ("cancelled", "cancelled", "cancelled")
        assert live_rows(direct) == []


# --- dead between two statements ---


class Killed(Exception):
    """Stands for the end of the process."""


class Deaths:
    """Lets a process die before its n-th statement."""

    def __init__(self, direct: DirectStore) -> None:
        self._direct = direct
        self._left = -1

    @contextmanager
    def before(self, number: int) -> Iterator[None]:
        self._left = number
        event.listen(self._direct.engine, "before_cursor_execute", self._count)
        try:
            yield
        finally:
            event.remove(self._direct.engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


def settle_one(transaction: Any, task: Task, outcome: Outcome) -> None:
    transaction.settle(WORKER, [Settlement(task, outcome)])


@pytest.mark.parametrize("outcome", [Completed(b'"r"'), BROKEN], ids=["completed", "dead"])
async def test_killed_between_any_two_statements_of_a_settle_all_of_it_or_nothing_happened(
    store: Store, direct: DirectStore, outcome: Outcome
) -> None:
    # T18
    workflow, _ = enqueue(direct, "a>b@x b>c a>h@error:on_failure")
    task = (await claim(store))["a"]
    before = states(direct, workflow)
    deaths = 0
    while True:
        try:
            with Deaths(direct).before(deaths + 1):
                direct.run(settle_one, task, outcome)
            break
        except Killed:
            deaths += 1
            assert states(direct, workflow) == before
    assert deaths > 8
    completed = isinstance(outcome, Completed)
    assert await run(store) == (["b", "c"] if completed else ["h"])
    assert states(direct, workflow)["*"] == ("completed" if completed else "failed")
    assert live_rows(direct) == []


async def test_killed_between_any_two_statements_a_retry_happens_as_a_whole(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>b b>c")
    await run(store, {"a": BROKEN})
    before = states(direct, workflow)
    deaths = 0
    while True:
        try:
            with Deaths(direct).before(deaths + 1):
                direct.run(reopening.retry, workflow, control.move_back)
            break
        except Killed:
            deaths += 1
            assert states(direct, workflow) == before
    assert deaths > 8
    assert await run(store) == ["a", "b", "c"]
