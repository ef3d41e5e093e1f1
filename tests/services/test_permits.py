from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.task import Task
from celers_worker.services.permits import Permits
from tests.services.desk import a_task

QUEUES = ["mail", "reports", "other", "fourth"]
HANDLERS = ["send", "render", "pay"]

limits = st.integers(1, 6)


@st.composite
def some_permits(draw: st.DrawFn) -> Permits:
    return Permits(
        total=draw(st.integers(1, 12)),
        served=draw(st.none() | st.frozensets(st.sampled_from(QUEUES), min_size=1)),
        queues=draw(st.dictionaries(st.sampled_from(QUEUES), limits)),
        queue_default=draw(st.none() | limits),
        handlers=draw(st.dictionaries(st.sampled_from(HANDLERS), limits)),
    )


def answer(permits: Permits, offered: list[Task]) -> list[Task]:
    """What a database gives that has *offered* and honours the demand."""
    demand = permits.demand()
    queues: Counter[str] = Counter()
    handlers: Counter[str] = Counter()
    given: list[Task] = []
    for task in offered:
        if (
            len(given) < demand.total
            and queues[task.queue] < demand.room(task.queue)
            and task.name not in demand.excluded
            and handlers[task.name] < demand.handlers.get(task.name, demand.total)
        ):
            queues[task.queue] += 1
            handlers[task.name] += 1
            given.append(task)
    return given


def limit_of(permits: Permits, queue: str) -> int:
    return permits._queues.get(queue, permits._queue_default)


@given(permits=some_permits(), data=st.data())
def test_no_tier_is_ever_exceeded_and_all_permits_come_back(
    permits: Permits, data: st.DataObject
) -> None:
    running: list[Task] = []
    for _ in range(data.draw(st.integers(1, 8))):
        offered = data.draw(
            st.lists(st.tuples(st.sampled_from(HANDLERS), st.sampled_from(QUEUES)), max_size=20)
        )
        claimed = answer(permits, [a_task(name, queue=queue) for name, queue in offered])
        for task in claimed:
            permits.take(task)
        running += claimed
        assert permits.in_use == len(running) <= permits.total
        for queue, count in Counter(task.queue for task in running).items():
            assert count <= limit_of(permits, queue)
            assert permits._served is None or queue in permits._served
        for name, count in Counter(task.name for task in running).items():
            assert count <= permits._handlers.get(name, permits.total)
        for task in data.draw(st.permutations(running)) if running else []:
            if data.draw(st.booleans()):
                permits.give_back([task])
                running.remove(task)
    for task in running:
        permits.give_back([task])
    assert permits.in_use == 0
    assert not permits.in_use_by_queue, "counters of queues that come and go must not grow"
    assert not permits.in_use_by_handler


@given(permits=some_permits(), names=st.lists(st.sampled_from(HANDLERS), max_size=30))
def test_a_demand_is_never_negative_even_for_more_tasks_than_it_asked_for(
    permits: Permits, names: list[str]
) -> None:
    for name in names:
        permits.take(a_task(name, queue="mail"))
    demand = permits.demand()
    assert demand.total >= 0
    assert all(room >= 0 for room in demand.queues.values())
    assert all(room >= 0 for room in demand.handlers.values())


def test_a_worker_that_serves_some_queues_asks_for_no_other() -> None:
    permits = Permits(total=10, served=frozenset({"mail"}), queues={"mail": 4})
    demand = permits.demand()
    assert demand.room("mail") == 4
    assert demand.room("reports") == 0


def test_a_worker_that_serves_every_queue_asks_for_those_it_has_never_heard_of() -> None:
    permits = Permits(total=10, queues={"mail": 4}, queue_default=6)
    demand = permits.demand()
    assert demand.room("mail") == 4
    assert demand.room("new") == 6
    permits.take(a_task(queue="new"))
    assert permits.demand().room("new") == 5
    assert permits.demand().room("newer") == 6


def test_a_queue_that_is_full_leaves_the_others_their_room() -> None:
    permits = Permits(total=10, queues={"mail": 1})
    permits.take(a_task(queue="mail"))
    assert permits.demand().room("mail") == 0
    assert permits.demand().room("reports") == 9


def test_a_handler_at_its_limit_is_excluded_until_one_of_its_tasks_ends() -> None:
    permits = Permits(total=10, handlers={"render": 1})
    task = a_task("render")
    permits.take(task)
    assert permits.demand().excluded == {"render"}
    permits.give_back([task])
    assert permits.demand().excluded == frozenset()


def test_a_name_that_nobody_can_run_stays_excluded() -> None:
    permits = Permits(total=10)
    permits.exclude("unknown")
    permits.take(task := a_task("unknown"))
    permits.give_back([task])
    assert permits.demand().excluded == {"unknown"}


@pytest.mark.parametrize(("at_most", "asked"), [(None, 10), (3, 3), (0, 0), (-5, 0), (99, 10)])
def test_a_demand_can_be_bounded_from_outside(at_most: int | None, asked: int) -> None:
    assert Permits(total=10).demand(at_most=at_most).total == asked


def test_a_permit_that_is_given_back_tells_who_waits_for_it() -> None:
    permits = Permits(total=1)
    told: list[int] = []
    permits.on_free(lambda: told.append(permits.in_use))
    permits.take(task := a_task())
    assert not told
    permits.give_back([task])
    assert told == [0]


def test_other_limits_hold_from_the_next_claim_and_what_runs_goes_on() -> None:
    permits = Permits(total=4, handlers={"render": 2, "send": 3})
    freed: list[bool] = []
    permits.on_free(lambda: freed.append(True))
    permits.take_all([a_task("render", queue="mail") for _ in range(4)])
    permits.exclude("unknown")

    permits.change(total=2, prefetch=0, queues={"mail": 1}, queue_default=None, handlers={})

    assert freed == [True], "there may be more room now"
    assert permits.demand().total == 0
    assert permits.demand().handlers == {"unknown": 0}
    assert permits.use_of_queues() == {"mail": 4}
    for task in [a_task("render", queue="mail")] * 4:
        permits.give_back([task])
    assert permits.demand().total == 2
    assert permits.demand().queues == {"mail": 1}
    assert permits.limit_of_queue("mail") == 1
    assert permits.limit_of_queue("other") == 2
