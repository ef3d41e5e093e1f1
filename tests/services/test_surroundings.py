"""What an application puts around its handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from celers_worker import (
    Cancel,
    Celers,
    Context,
    Dead,
    Retry,
    Snooze,
)
from celers_worker.config import load_config
from celers_worker.core import outcome as out
from celers_worker.core.errors import CelersError, ConfigurationError, PayloadError
from celers_worker.core.progress import Progress
from celers_worker.core.signals import Complete
from celers_worker.services.surroundings import Surroundings
from celers_worker.store.direct import DirectStore
from celers_worker.store.progress import progress_of
from tests.services.crews import drain
from tests.services.desk import Desk, a_task
from tests.waiting import eventually

on_a_file = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


# --- permits ---


def verdict(error: Exception | None) -> Any:
    async def permit(context: Context) -> AsyncIterator[None]:
        if error is not None:
            raise error
        yield

    return permit


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, out.Completed(b"1")),
        (Snooze("5s"), out.Release),
        (Retry(after="5s"), out.Retry),
        (Cancel(), out.Cancelled),
        (Dead(), out.Dead),
        (Complete("spared"), out.Completed(b'"spared"')),
    ],
    ids=["run", "try after", "retry", "cancel", "dead", "complete"],
)
@pytest.mark.parametrize("whose", ["handler", "queue"])
async def test_a_permit_decides_about_a_task(
    desk: Desk, error: Exception | None, expected: Any, whose: str
) -> None:
    permit = verdict(error)
    if whose == "queue":
        desk.app.permit(queue="narrow")(permit)
        surroundings = Surroundings(permits=desk.app.extensions.permits)
        outcome = await desk.run_within(surroundings, queue="narrow")
    else:
        outcome = await desk.run_within(Surroundings(), permit=permit)
    assert outcome == expected if isinstance(expected, out.Completed) else type(outcome) is expected


@on_a_file
async def test_a_permit_is_held_for_the_whole_run_and_its_refusals_count_no_attempt(
    app: Celers,
) -> None:
    held = most = 0

    @app.permit(queue="default")
    @asynccontextmanager
    async def one_at_a_time(context: Context) -> AsyncIterator[None]:
        nonlocal held, most
        if held:
            raise Snooze(0)
        held += 1
        most = max(most, held)
        try:
            yield
        finally:
            held -= 1

    attempts: list[int] = []

    @app.task()
    async def work(context: Context) -> None:
        await asyncio.sleep(0)
        attempts.append(context.attempt)

    await app.enqueue_many(work.call() for _ in range(20))
    await drain(app)
    assert (attempts, most) == ([1] * 20, 1)


@on_a_file
async def test_congestion_burns_no_attempt(app: Celers, migrated_url: str) -> None:
    # T21
    flags = {"database.url": migrated_url, "worker.settle_interval": 0}
    flags["worker.queues"] = ["default:1"]  # type: ignore[assignment]  # a list among texts
    app.client.config = load_config(environment={}, flags=flags).config
    attempts: list[int] = []

    @app.task(max_retries=0)
    async def work(context: Context) -> None:
        attempts.append(context.attempt)

    await app.enqueue_many(work.call() for _ in range(100))
    worked = await drain(app)
    assert attempts == [1] * 100
    assert worked.outcomes == [out.Completed()] * 100


# --- lifespans and resources ---


@on_a_file
async def test_resources_are_opened_before_the_first_claim_and_closed_after_the_last_run(
    app: Celers,
) -> None:
    told: list[str] = []

    @app.lifespan
    async def pools() -> AsyncIterator[dict[str, Any]]:
        told.append("open")
        yield {"pool": "a pool", "other": 2}
        told.append("close")

    @app.task()
    async def work(number: int, pool: str = app.resource()) -> str:
        told.append("run")
        return f"{number} {pool}"

    @app.task()
    def in_thread(context: Context, number: int, *, second: int = app.resource("other")) -> int:
        return number + second + len(context.resources)

    first, second = await work.enqueue(1), await in_thread.enqueue(1)
    await drain(app)
    assert await first.result() == "1 a pool"
    assert await second.result() == 5
    assert told == ["open", "run", "close"]


@on_a_file
async def test_producers_do_not_pass_resources(app: Celers) -> None:
    @app.task()
    async def work(number: int, pool: str = app.resource()) -> None: ...

    with pytest.raises(PayloadError, match="pool"):
        await work.enqueue(1, pool="mine")


@on_a_file
async def test_a_worker_whose_lifespan_fails_does_not_start_and_says_why(app: Celers) -> None:
    told: list[str] = []

    @app.lifespan
    async def first() -> AsyncIterator[None]:
        try:
            yield
        finally:
            told.append("closed")

    @app.lifespan
    async def second() -> AsyncIterator[None]:
        raise OSError("no route to the cache")
        yield

    @app.task()
    async def work() -> None: ...

    await work.enqueue()
    with pytest.raises(CelersError, match=r"second failed: OSError: no route to the cache"):
        await drain(app)
    assert told == ["closed"]


@on_a_file
@pytest.mark.parametrize(
    ("yielded", "problem"),
    [({"pol": 1}, r"wants the resource 'pool'.*Did you mean 'pol'"), ([1], "yielded a list")],
    ids=["another name", "no names"],
)
async def test_resources_that_do_not_fit_are_told_before_anything_is_claimed(
    app: Celers, yielded: Any, problem: str
) -> None:
    @app.lifespan
    async def pools() -> AsyncIterator[Any]:
        yield yielded

    @app.task()
    async def work(pool: str = app.resource()) -> None: ...

    task = await work.enqueue()
    with pytest.raises(ConfigurationError, match=problem):
        await drain(app)
    assert await task.state() == "pending"


@pytest.mark.parametrize("wrong", [3, "text"], ids=["number", "text"])
def test_what_is_no_context_manager_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="one yield"):
        Celers().lifespan(wrong)
    with pytest.raises(ConfigurationError, match="one yield"):
        Celers().permit(queue="a")(wrong)
    with pytest.raises(ConfigurationError, match="one yield"):
        Celers().task(name="work", permit=wrong)(lambda: None)


def test_a_queue_has_one_permit() -> None:
    app = Celers()
    app.permit(queue="a")(verdict(None))
    with pytest.raises(ConfigurationError, match="two permits"):
        app.permit(queue="a")(verdict(None))


# --- the soft timeout, and what a context offers ---


async def test_after_the_soft_timeout_the_context_says_so(desk: Desk) -> None:
    async def work(context: Context) -> bool:
        await eventually(lambda: context.stopped)
        return True

    task = desk.app.task(name="work", soft_timeout="10ms", timeout="20s")(work)
    assert task.handler.soft_timeout is not None
    desk.runner._registry = desk.app.registry.mapped(Surroundings().of)
    assert await desk.run(a_task()) == out.Completed(b"true")


def test_a_soft_timeout_comes_before_the_hard_one() -> None:
    with pytest.raises(ConfigurationError, match="must be shorter"):
        Celers().task(name="work", soft_timeout="10s", timeout="5s")(lambda: None)


@on_a_file
async def test_a_context_offers_its_queue_a_logger_and_a_way_to_enqueue(app: Celers) -> None:
    @app.task()
    async def follow_up() -> str:
        return "followed"

    @app.task(queue="emails")
    async def work(context: Context) -> list[str]:
        context.log.debug("at work")
        [task_id] = await context.enqueue(follow_up.call())
        return [context.queue, str(task_id)]

    task = await work.enqueue()
    await drain(app)
    queue, follower = await task.result()
    assert queue == "emails"
    assert await app.task_by_id(follower).result() == "followed"


@on_a_file
async def test_a_handler_tells_how_far_it_is(app: Celers, direct: DirectStore) -> None:
    @app.task()
    async def work(context: Context) -> None:
        for done in range(101):
            await context.progress(done, 100, "pages")

    @app.task()
    def in_thread(context: Context) -> None:
        context.progress_sync(1, message="one")
        context.progress_sync(2, message="too soon to be written")

    first, second = await work.enqueue(), await in_thread.enqueue()
    await drain(app)
    told = direct.run(progress_of, first.id)
    assert told is not None
    assert told.progress == Progress(100, 100, "pages")
    told = direct.run(progress_of, second.id)
    assert told is not None
    assert told.progress == Progress(1, None, "one")


# --- presets ---


def test_declarations_can_be_shared_and_changed() -> None:
    app = Celers()
    emails = app.defaults(queue="emails", max_retries=7, soft_timeout="1s")

    @emails.task()
    async def one() -> None: ...

    @emails.defaults(priority=3).task(name="another", max_retries=0)
    async def two() -> None: ...

    assert (one.handler.queue, one.handler.max_retries, one.handler.priority) == ("emails", 7, 0)
    assert (two.handler.name, two.handler.max_retries, two.handler.priority) == ("another", 0, 3)
