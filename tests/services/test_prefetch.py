"""Tasks that were claimed ahead wait in the process, in their order, and go back unrun."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from celers_worker import Celers
from celers_worker.core.events import TaskStarted
from celers_worker.core.outcome import Cancelled, Completed, Release
from celers_worker.core.task import Task
from celers_worker.services.permits import Permits
from tests.services.desk import Desk, a_task
from tests.waiting import eventually

RUNNING, AHEAD = 10, 4


@pytest.fixture
async def gate() -> asyncio.Event:
    """Lets every handler end."""
    return asyncio.Event()


@pytest.fixture
async def desk(gate: asyncio.Event) -> AsyncIterator[Desk]:
    """A runner with ten permits, and four tasks ahead of them."""
    app = Celers()
    desk = Desk(app, prefetch=AHEAD)

    @app.task(name="work")
    async def work() -> None:
        await gate.wait()

    yield desk
    gate.set()
    await desk.close()


async def full(desk: Desk) -> tuple[list[Task], list[Task]]:
    """Start as many as there is room for; returns those that run and those that wait."""
    assert desk.permits.demand().total == RUNNING + AHEAD
    claimed = [a_task() for _ in range(RUNNING + AHEAD)]
    for task in claimed:
        desk.start(task)
    assert desk.permits.demand().total == 0
    await eventually(lambda: desk.runner.running == RUNNING)
    return claimed[:RUNNING], claimed[RUNNING:]


def started(desk: Desk) -> list[Task]:
    return [event.task for event in desk.seen.of(TaskStarted)]


async def test_no_more_run_than_there_are_permits(desk: Desk, gate: asyncio.Event) -> None:
    running, waiting = await full(desk)
    assert started(desk) == running
    gate.set()
    await eventually(desk.is_idle)
    assert started(desk) == running + waiting
    assert {type(desk.outcome(task)) for task in waiting} == {Completed}
    assert desk.runner.running == 0


async def test_one_that_ends_lets_the_next_in_line_start(desk: Desk) -> None:
    running, waiting = await full(desk)
    desk.runner.cancel(running[3].id, "not wanted")
    await eventually(lambda: len(desk.outcomes) == 1)
    await eventually(lambda: started(desk) == [*running, waiting[0]])
    assert desk.permits.demand().total == 1


async def test_what_waits_goes_back_unrun_when_the_worker_stops(
    desk: Desk, gate: asyncio.Event
) -> None:
    running, waiting = await full(desk)
    desk.runner.quiet()
    assert [one.task for one in desk.outcomes] == waiting
    assert {type(one.outcome) for one in desk.outcomes} == {Release}
    assert desk.runner.released == AHEAD
    assert [*desk.runner.runs] == [task.id for task in running]
    gate.set()
    await eventually(desk.is_idle)
    assert started(desk) == running


Ends = Callable[[Desk, Task], None]


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        (lambda desk, task: desk.runner.cancel(task.id, "not wanted"), Cancelled),
        (lambda desk, task: desk.runner.lose([task.id], "its lease is gone"), Release),
    ],
)
async def test_what_waits_can_be_cancelled_and_lost_and_never_starts(
    desk: Desk, gate: asyncio.Event, ends: Ends, outcome: type
) -> None:
    running, waiting = await full(desk)
    ends(desk, waiting[1])
    assert [(one.task, type(one.outcome)) for one in desk.outcomes] == [(waiting[1], outcome)]
    assert desk.permits.demand().total == 1
    gate.set()
    await eventually(desk.is_idle)
    assert started(desk) == [*running, waiting[0], *waiting[2:]]


def test_a_limit_below_the_total_is_not_exceeded_by_what_is_claimed_ahead() -> None:
    permits = Permits(total=10, prefetch=5, queues={"slow": 3}, handlers={"render": 2})
    demand = permits.demand()
    assert demand.total == 15
    assert demand.room("slow") == 3
    assert demand.room("any other") == 15
    assert demand.handlers == {"render": 2}


def test_a_queue_as_large_as_the_total_is_claimed_ahead_too() -> None:
    permits = Permits(total=10, prefetch=5, served=frozenset({"mail"}), queues={"mail": 10})
    assert permits.demand().room("mail") == 15
