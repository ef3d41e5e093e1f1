"""Chains, groups, chords and graphs as an application builds them, run by a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session

from celers_worker import Celers, Context, TaskFailed, testing
from celers_worker.app import DeclaredTask
from celers_worker.core.errors import (
    ConfigurationError,
    PayloadError,
    ResultTimeout,
    TaskNotFound,
)
from celers_worker.core.task import new_id
from celers_worker.store.direct import DirectStore
from celers_worker.workflow import Element, chain, chord, graph, group
from tests.store.steps import live_rows


class Tasks:
    """The handlers of the tests."""

    def __init__(self, app: Celers) -> None:
        self.seen: list[Any] = []

        @app.task()
        def number(value: int) -> int:
            return value

        @app.task()
        def double(value: int, times: int = 2) -> int:
            return value * times

        @app.task()
        def total(values: list[int], plus: int = 0) -> int:
            return sum(value for value in values if value is not None) + plus

        @app.task()
        def keep(value: Any) -> Any:
            return value

        @app.task(max_retries=0)
        def fail(value: Any = None) -> None:
            raise ValueError("no such page")

        @app.task()
        def tell(error: dict[str, Any]) -> None:
            self.seen.append(error)

        @app.task()
        async def with_context(context: Context, value: int, more: int) -> list[int]:
            return [context.attempt, value, more]

        self.number, self.double, self.total = number, double, total
        self.keep, self.fail, self.tell = keep, fail, tell
        self.with_context = with_context


@pytest.fixture
def tasks(app: Celers) -> Tasks:
    return Tasks(app)


async def outcome(app: Celers, element: Element[Any]) -> Any:
    """What a workflow returns, when a worker has run it."""
    enqueued = await app.workflow(element).enqueue()
    await testing.drain(app)
    return await enqueued.result(timeout=0)


async def test_a_chain_passes_each_result_to_the_next(app: Celers, tasks: Tasks) -> None:
    flow = chain(tasks.number.call(value=5), tasks.double, tasks.double.step(times=10))
    assert await outcome(app, flow) == 100


async def test_a_group_returns_its_results_in_its_order(app: Celers, tasks: Tasks) -> None:
    assert await outcome(app, group(*(tasks.number.call(n) for n in (3, 1, 2)))) == [3, 1, 2]


async def test_a_chord_gives_the_list_to_its_body(app: Celers, tasks: Tasks) -> None:
    header = [tasks.number.call(1), chain(tasks.number.call(2), tasks.double)]
    assert await outcome(app, chord(header, tasks.total.step(plus=100))) == 105


async def test_any_nesting_keeps_the_shape_of_the_results(app: Celers, tasks: Tasks) -> None:
    inner = chord([tasks.number.call(1), tasks.number.call(2)], tasks.total)
    flow = chain(
        group(
            inner, group(tasks.number.call(7), group()), chain(tasks.number.call(4), tasks.double)
        ),
        tasks.keep,
        group(tasks.keep, tasks.keep),
    )
    assert await outcome(app, flow) == [[3, [7, []], 8]] * 2


async def test_map_starmap_and_chunks(app: Celers, tasks: Tasks) -> None:
    flow = group(
        tasks.double.map([1, 2]),
        tasks.double.starmap([(1, 5), {"value": 2, "times": 7}]),
        tasks.total.chunks(range(5), 2),
    )
    assert await outcome(app, flow) == [[2, 4], [5, 14], [1, 5, 4]]


async def test_of_nothing_there_is_an_empty_list_and_the_order_stays(
    app: Celers, tasks: Tasks
) -> None:
    assert await outcome(app, chord(tasks.double.map([]), tasks.total)) == 0
    flow = chain(tasks.fail.call(), tasks.double.map([]), tasks.total)
    enqueued = await app.workflow(flow).enqueue()
    await testing.drain(app)
    with pytest.raises(TaskFailed, match="no such page"):
        await enqueued.result(timeout=0)


async def test_a_graph_runs_each_part_after_those_it_depends_on(app: Celers, tasks: Tasks) -> None:
    flow = graph(
        {
            "sum": tasks.total.step().depends_on("one", "two"),
            "both": tasks.with_context.step().depends_on(
                "one", "sum", into={"one": "more", "sum": "value"}
            ),
            "one": tasks.number.call(1),
            "two": chain(tasks.number.call(1), tasks.double),
            "alone": tasks.number.call(9),
        }
    )
    assert await outcome(app, flow) == {"both": [1, 3, 1], "alone": 9}


async def test_into_names_the_parameter_and_none_passes_nothing(app: Celers, tasks: Tasks) -> None:
    flow = chain(tasks.number.call(3), tasks.double.step(value=5).into("times"))
    assert await outcome(app, flow) == 15
    flow = chain(tasks.number.call(3), tasks.double.step(value=5).into(None))
    assert await outcome(app, flow) == 10


async def test_a_complete_call_is_given_nothing(app: Celers, tasks: Tasks) -> None:
    assert await outcome(app, chain(tasks.number.call(3), tasks.double.call(5))) == 10


async def test_steps_by_name_without_their_code_get_the_result_as_first_argument(
    app: Celers, tasks: Tasks
) -> None:
    stranger = Celers()
    stranger.client.config = app.client.config
    flow = chain(stranger.step("number", value=3), stranger.step("double", times=4))
    enqueued = await stranger.workflow(flow).enqueue()
    await testing.drain(app)
    assert await enqueued.result(timeout=0) == 12
    await stranger.close()


async def test_skip_and_continue_do_without_a_failed_part(app: Celers, tasks: Tasks) -> None:
    header = [tasks.number.call(1), tasks.fail.call(), tasks.number.call(2)]
    assert await outcome(app, chord(header, tasks.keep.step().if_failed("skip"))) == [1, 2]
    flow = chord(header, tasks.keep.step().if_failed("continue"))
    assert await outcome(app, flow) == [1, None, 2]


async def test_a_failed_workflow_says_which_step_failed_and_tells_its_handler(
    app: Celers, tasks: Tasks
) -> None:
    flow = app.workflow(
        chain(tasks.number.call(1), tasks.fail.step(), tasks.double),
        name="nightly",
        on_error=tasks.tell,
    )
    enqueued = await flow.enqueue()
    await testing.drain(app)
    with pytest.raises(TaskFailed, match=r"workflow .* failed: fail \(.*ValueError: no such page"):
        await enqueued.result(timeout=0)
    [error] = tasks.seen
    assert (error["id"], error["name"], error["state"]) == (str(enqueued.id), "nightly", "failed")


async def test_a_step_has_a_handler_of_its_own(app: Celers, tasks: Tasks) -> None:
    flow = chain(tasks.fail.step().on_error(tasks.tell), tasks.double)
    enqueued = await app.workflow(flow).enqueue()
    await testing.drain(app)
    assert [error["name"] for error in tasks.seen] == ["fail"]
    assert {step.name: step.state for step in await enqueued.steps()} == {
        "fail": "failed",
        "tell": "completed",
        "double": "cancelled",
    }


async def test_a_handle_cancels_and_takes_up_again(app: Celers, tasks: Tasks) -> None:
    enqueued = await app.workflow(chain(tasks.number.call(1), tasks.double)).enqueue()
    assert await enqueued.state() == "running"
    with pytest.raises(ResultTimeout, match="is still running"):
        await enqueued.result(timeout=0)
    assert await enqueued.cancel("not now")
    assert not await enqueued.cancel()
    with pytest.raises(TaskFailed, match="cancelled: not now"):
        await enqueued.result(timeout=0)
    assert await enqueued.retry() == 2
    await testing.drain(app)
    assert await app.workflow_by_id(str(enqueued.id)).result(timeout=0) == 2


def test_everything_has_a_synchronous_twin(app: Celers, tasks: Tasks) -> None:
    enqueued = app.workflow(chain(tasks.number.call(1), tasks.double)).enqueue_sync()
    assert enqueued.state_sync() == "running"
    assert [step.name for step in enqueued.steps_sync()] == ["number", "double"]
    assert enqueued.cancel_sync()
    with pytest.raises(TaskFailed):
        enqueued.result_sync(timeout=0)
    assert enqueued.retry_sync() == 2
    with pytest.raises(TaskNotFound):
        app.workflow_by_id(new_id()).state_sync()
    app.close_sync()


# --- one commit with the application's own rows ---


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    drivers = {"postgresql": "psycopg", "mysql": "pymysql", "sqlite": "pysqlite"}
    url = make_url(migrated_url)
    engine = create_engine(url.set(drivername=f"{url.drivername}+{drivers[url.drivername]}"))
    yield engine
    engine.dispose()


@pytest.mark.parametrize("commits", [True, False])
async def test_a_session_decides_about_a_whole_workflow(
    app: Celers, tasks: Tasks, engine: Engine, direct: DirectStore, commits: bool
) -> None:
    flow = app.workflow(chain(tasks.number.call(1), tasks.double))
    with Session(engine) as session:
        await flow.using(session).enqueue()
        flow.using(session).enqueue_sync()
        session.commit() if commits else session.rollback()
    assert len(live_rows(direct)) == 4 * commits


# --- what cannot be is refused before anything is written ---


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
class TestRefused:
    def refused(self, app: Celers, element: Any, kind: type[Exception], words: str) -> None:
        with pytest.raises(kind, match=words):
            app.workflow(element).planned()

    def test_a_circle_is_named(self, app: Celers, tasks: Tasks) -> None:
        def waits(name: str) -> Any:
            return tasks.double.step().depends_on(name)

        flow = graph({"a": waits("c"), "b": waits("a"), "c": waits("b"), "d": waits("a")})
        self.refused(
            app,
            flow,
            ConfigurationError,
            r"in a circle.*(a → b → c → a|b → c → a → b|c → a → b → c)",
        )

    def test_a_part_that_is_not_there(self, app: Celers, tasks: Tasks) -> None:
        flow = graph({"fetch": tasks.number.call(1), "b": tasks.double.step().depends_on("fetsch")})
        self.refused(
            app, flow, ConfigurationError, "no step of this workflow. Did you mean 'fetch'"
        )

    def test_a_missing_argument(self, app: Celers, tasks: Tasks) -> None:
        self.refused(app, tasks.double.step(), PayloadError, "'value' is missing")

    def test_a_parameter_that_is_not_there(self, app: Celers, tasks: Tasks) -> None:
        with pytest.raises(PayloadError, match="unexpected keyword argument 'tmes'"):
            tasks.double.step(tmes=2)
        flow = chain(tasks.number.call(1), tasks.double.step(value=1).into("tmes"))
        self.refused(app, flow, PayloadError, "no parameter 'tmes'. Did you mean 'times'")

    def test_an_argument_given_twice(self, app: Celers, tasks: Tasks) -> None:
        flow = chain(tasks.number.call(1), tasks.double.step(value=1).into("value"))
        self.refused(app, flow, PayloadError, "'value' is given, and a result goes there too")

    def test_a_unique_key(self, app: Celers, tasks: Tasks) -> None:
        flow = chain(tasks.number.with_(unique_key="k").call(1), tasks.double)
        self.refused(app, flow, ConfigurationError, "cannot have a unique key")

    def test_nothing_at_all(self, app: Celers) -> None:
        self.refused(app, group(), ConfigurationError, "no step")
        with pytest.raises(ConfigurationError, match="at least one step"):
            chain()

    def test_what_is_no_part(self, app: Celers, tasks: Tasks) -> None:
        with pytest.raises(ConfigurationError, match="no part of a workflow"):
            chain(tasks.number.call(1), 7)  # type: ignore[arg-type]  # that is the test
        with pytest.raises(ConfigurationError, match="Did you mean 'skip'"):
            tasks.double.step().if_failed("skp")
        with pytest.raises(ConfigurationError, match="whole number from 1"):
            tasks.double.chunks([1], 0)
        flow = chain(tasks.number.call(1), tasks.double.step().depends_on("x"))
        self.refused(app, flow, ConfigurationError, "it is no part of a graph")

    def test_one_part_twice(self, app: Celers, tasks: Tasks) -> None:
        part = tasks.double.step().depends_on("a").depends_on("a", into="times")
        flow = graph({"a": tasks.number.call(1), "b": part})
        self.refused(app, flow, ConfigurationError, "depends on one part twice")

    def test_too_many(self, app: Celers, tasks: Tasks) -> None:
        self.refused(app, tasks.number.map(range(10_001)), ConfigurationError, "more than 10,000")
        wide = tasks.number.map(range(320))
        flow = chain(wide, group(*[tasks.total] * 320))
        self.refused(app, flow, ConfigurationError, "more than 100,000")


def test_a_declared_task_is_still_what_it_was(app: Celers, tasks: Tasks) -> None:
    assert isinstance(tasks.number, DeclaredTask)
    assert tasks.number(3) == 3
