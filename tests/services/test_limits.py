"""Limits over all workers, as an application declares them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from celers_worker import Celers, Context, Worker
from celers_worker.core.errors import ConfigurationError, Unavailable
from celers_worker.core.limit import parse_rate
from celers_worker.core.outcome import Dead, Release
from celers_worker.services.surroundings import Surroundings
from tests.services.crews import drain
from tests.services.desk import Desk, a_task


async def test_two_workers_keep_a_limit_for_each_tenant(app: Celers) -> None:
    runs: Counter[str] = Counter()
    most: Counter[str] = Counter()
    attempts = []

    @app.task(permit=app.limit("tenant:{tenant}", concurrency=2, again="20ms"))
    async def work(tenant: str, context: Context) -> None:
        attempts.append(context.attempt)
        runs[tenant] += 1
        most[tenant] = max(most[tenant], runs[tenant])
        await asyncio.sleep(0.02)
        runs[tenant] -= 1

    tasks = await app.enqueue_many(work.call(tenant=name) for name in "abab" * 4)
    config = app.client.config
    async with Worker(app, config), Worker(app, config):
        async for ended in app.wait_for(tasks, timeout=60):
            assert ended.state == "completed"
    assert most["a"] <= 2
    assert most["b"] <= 2
    assert attempts == [1] * 16


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_a_rate_puts_tasks_off_without_an_attempt(app: Celers) -> None:
    ran = []

    @app.task(permit=app.limit(lambda context: context.queue, rate="60/h", burst=2))
    async def work(number: int) -> None:
        ran.append(number)

    tasks = await app.enqueue_many(work.call(number) for number in range(5))
    worked = await drain(app)
    assert len(ran) == 2
    released = [one for one in worked.outcomes if isinstance(one, Release)]
    assert [one.reason for one in released] == ["limit 'default' reached"] * 3
    assert all(one.delay is not None and 30 < one.delay.total_seconds() < 62 for one in released)
    views = [await app.inspect.task(task.id) for task in tasks]
    assert [view.retry_count for view in views if view is not None] == [0] * 5


async def test_while_the_database_is_away_a_limited_task_waits(desk: Desk) -> None:
    class Away:
        async def take(self, *_: Any) -> float | None:
            raise Unavailable("it is away")

    desk.runner.host = Away()  # type: ignore[assignment]  # all that is asked of it
    outcome = await desk.run_within(
        Surroundings(), permit=desk.app.limit("mail", concurrency=1, again="10s")
    )
    assert isinstance(outcome, Release)
    assert "it is away" in str(outcome.reason)


async def test_a_limit_that_cannot_be_named_buries_its_task(desk: Desk) -> None:
    permit = desk.app.limit("tenant:{tenant}", concurrency=1)
    outcome = await desk.run_within(Surroundings(), permit=permit)
    assert isinstance(outcome, Dead)
    assert "'tenant:{tenant}' cannot be named" in outcome.failure.message
    assert a_task().queue == "default"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "needs concurrency="),
        ({"concurrency": 0}, "whole number from 1"),
        ({"rate": "fast"}, '"100/1m"'),
        ({"rate": "0/1m"}, '"100/1m"'),
        ({"rate": "5/0s"}, '"100/1m"'),
        ({"rate": "5/fortnight"}, "the time of a rate"),
        ({"concurrency": 1, "burst": 2}, "goes with rate="),
        ({"rate": "1/s", "burst": 0}, "whole number from 1"),
        ({"concurrency": 1, "again": "soon"}, "again"),
    ],
    ids=str,
)
def test_what_is_no_limit_is_refused_at_once(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Celers().limit("mail", **given)


@pytest.mark.parametrize("name", ["", " mail", "x" * 256])
def test_what_cannot_name_a_limit_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a limit"):
        Celers().limit(name, concurrency=1)


def test_rates_are_read() -> None:
    assert parse_rate("100/1m").interval == pytest.approx(0.6)
    assert parse_rate(" 5 / s ").interval == pytest.approx(0.2)
    assert parse_rate("1/1h30m").interval == 5_400
