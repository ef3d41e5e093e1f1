"""A task that may have killed its workers runs alone."""

import asyncio

import pytest
from msgspec.structs import replace

from celers_worker import Celers
from celers_worker.core.outcome import Completed, Release
from celers_worker.core.task import Task
from celers_worker.services import isolation
from tests.services.desk import Desk, a_task
from tests.waiting import eventually


def suspect() -> Task:
    return replace(a_task(), crash_count=2)


def desk() -> tuple[Desk, asyncio.Event]:
    app, gate = Celers(), asyncio.Event()

    @app.task(name="work")
    async def work() -> None:
        await gate.wait()

    return Desk(app, max_crashes=3), gate


def begin_suspect(made: Desk) -> None:
    """What the poller does when every outcome is written."""
    if made.runner.next_suspect() is not None:
        made.runner.admit_suspect()


async def test_a_suspect_runs_when_nothing_else_does_and_keeps_others_away() -> None:
    made, gate = desk()
    run = made.start(suspect())
    assert run is not None
    assert run.execution is None

    begin_suspect(made)

    await eventually(lambda: run.execution is not None)
    assert made.runner.isolating
    gate.set()
    await eventually(made.is_idle)
    assert not made.runner.isolating
    assert [type(one.outcome) for one in made.outcomes] == [Completed]


async def test_a_suspect_waits_for_what_runs_beside_it() -> None:
    made, gate = desk()
    other = made.start(a_task())
    run = made.start(suspect())
    assert other is not None
    assert run is not None

    begin_suspect(made)

    assert run.execution is None
    assert made.runner.isolating
    gate.set()
    await eventually(lambda: other.settled)
    begin_suspect(made)
    await eventually(lambda: run.execution is not None)
    await eventually(made.is_idle)


async def test_suspects_run_one_after_the_other() -> None:
    made, gate = desk()
    first, second = made.start(suspect()), made.start(suspect())
    assert first is not None
    assert second is not None
    begin_suspect(made)
    await eventually(lambda: first.execution is not None)
    begin_suspect(made)
    assert second.execution is None

    gate.set()
    await eventually(lambda: first.settled)
    assert made.runner.isolating
    begin_suspect(made)
    await eventually(made.is_idle)
    assert [type(one.outcome) for one in made.outcomes] == [Completed, Completed]


async def test_suspects_behind_one_that_takes_long_go_where_there_may_be_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolation, "PATIENCE", 0.0)
    made, gate = desk()
    made.start(suspect())
    begin_suspect(made)
    made.start(second := suspect())

    begin_suspect(made)

    [given_back] = made.outcomes
    assert given_back.task is second
    assert isinstance(given_back.outcome, Release)
    gate.set()
    await eventually(made.is_idle)


async def test_a_suspect_that_waits_is_given_back_when_the_worker_stops() -> None:
    made, _ = desk()
    made.start(a_task())
    waiting = suspect()
    made.start(waiting)

    made.runner.stop_all("the worker is stopping")

    await eventually(made.is_idle)
    assert not made.runner.isolating
    assert {type(one.outcome) for one in made.outcomes} == {Release}
    assert waiting in [one.task for one in made.outcomes]
