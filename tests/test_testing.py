"""What an application imports in its own tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from celers_worker import Celers, backoff, testing


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Celers]:
    made = Celers()
    made.client.config = testing.config(tmp_path)
    yield made
    await made.close()


async def test_drain_runs_what_is_due_and_what_that_enqueues(app: Celers) -> None:
    @app.task()
    async def greet(name: str) -> str:
        return f"Hello, {name}!"

    @app.task()
    async def sign_up(name: str) -> None:
        await greet.enqueue(name=name)

    await sign_up.enqueue(name="Ada")

    run = await testing.drain(app)

    assert run.completed == ["sign_up", "greet"]


async def test_drain_tells_what_failed_and_what_died(app: Celers) -> None:
    @app.task(max_retries=1, backoff=backoff.fixed("1h"))
    async def later() -> None:
        raise ValueError("not yet")

    @app.task(max_retries=0)
    def never() -> None:
        raise ValueError("no")

    await app.enqueue_many([later.call(), never.call()])

    run = await testing.drain(app)

    assert (run.completed, run.retried, run.dead) == ([], ["later"], ["never"])
