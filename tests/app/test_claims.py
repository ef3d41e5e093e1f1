"""The primitives below a worker: ``app.claims()`` and ``work_one``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from celers_worker import Celers, Options, Snooze
from celers_worker.core.errors import ConfigurationError, PayloadError, TaskFailed
from celers_worker.core.outcome import Completed
from celers_worker.core.task import TaskState
from celers_worker.single import work_one
from celers_worker.store import DirectStore, inspect, survey
from celers_worker.store.maintenance import reap
from tests.store.steps import change_task, lose_worker


@pytest.fixture
async def app(migrated_url: str) -> AsyncIterator[Celers]:
    app = Celers(migrated_url)

    @app.task(queue="emails", max_retries=1)
    async def send(to: str) -> str:
        if to == "nobody":
            raise ValueError("no such address")
        return f"sent to {to}"

    yield app
    await app.close()


async def test_a_loop_of_ones_own_claims_and_completes(app: Celers) -> None:
    first = await app.enqueue("send", to="ada")
    second = await app.enqueue("send", to="bob", options=Options(priority=9))
    seen = []
    async with app.claims(queues=["emails"]) as claims:
        while (claimed := await claims.next()) is not None:
            seen.append(claimed.arguments()["to"])
            assert await claimed.complete(f"number {len(seen)}")
    assert seen == ["bob", "ada"]
    assert await second.result() == "number 1"
    assert await first.result() == "number 2"


async def test_a_task_enqueued_after_an_empty_look_is_claimed_by_the_next(app: Celers) -> None:
    async with app.claims() as claims:
        for number in range(3):
            assert await claims.next() is None
            task = await app.enqueue("send", to=str(number))
            claimed = await claims.next()
            assert claimed is not None
            assert claimed.task.id == task.id
            assert await claimed.complete()


async def test_a_failure_is_decided_as_a_worker_does(app: Celers) -> None:
    task = await app.enqueue("send", to="ada", options=Options(max_retries=0))
    async with app.claims() as claims:
        claimed = await claims.next()
        assert claimed is not None
        assert await claimed.fail(ValueError("no such address"))
    with pytest.raises(TaskFailed, match="no such address"):
        await task.result()


async def test_what_is_given_back_keeps_its_attempts(app: Celers, direct: DirectStore) -> None:
    task = await app.enqueue("send", to="ada")
    async with app.claims() as claims:
        for give_back in ("release", "snooze"):
            claimed = await claims.next()
            assert claimed is not None
            assert claimed.task.attempt == 1
            if give_back == "release":
                assert await claimed.release()
            else:
                assert await claimed.snooze("1h")
        assert await claims.next() is None
    view = direct.run(inspect.task, task.id)
    assert view is not None
    assert (view.state, view.retry_count) == (TaskState.PENDING, 0)


async def test_a_signal_means_what_it_means_in_a_handler(app: Celers) -> None:
    task = await app.enqueue("send", to="ada")
    async with app.claims() as claims:
        claimed = await claims.next()
        assert claimed is not None
        assert await claimed.fail(Snooze("1h"))
        assert await claims.next() is None
    assert await task.state() is TaskState.PENDING


async def test_rejected_and_cancelled_tasks_end(app: Celers) -> None:
    bad = await app.enqueue("send", to="ada")
    unwanted = await app.enqueue("send", to="bob")
    async with app.claims() as claims:
        claimed = await claims.next()
        assert claimed is not None
        assert await claimed.reject("its address is a joke")
        claimed = await claims.next()
        assert claimed is not None
        assert await claimed.cancel("nobody wants it")
    assert await bad.state() is TaskState.FAILED
    assert await unwanted.state() is TaskState.CANCELLED


async def test_what_is_not_settled_is_given_back_at_the_end(app: Celers) -> None:
    task = await app.enqueue("send", to="ada")
    async with app.claims() as claims:
        assert await claims.next() is not None
        assert await task.state() is TaskState.PROCESSING
    assert await task.state() is TaskState.PENDING


async def test_a_lost_lease_changes_nothing_and_the_next_claim_is_a_new_worker_s(
    app: Celers,
) -> None:
    await app.enqueue("send", to="ada")
    store = await app.client.store()
    async with app.claims() as claims:
        before = claims.worker
        lost = await claims.next()
        assert lost is not None
        assert await lost.extend()
        await lose_worker(store, before)
        assert not await lost.extend()
        await store.run(reap, max_crashes=3)
        assert not await lost.complete("too late")

        again = await claims.next()
        assert again is not None
        assert again.task.id == lost.task.id
        assert claims.worker != before
        assert await again.complete()


async def test_extend_tells_that_somebody_cancelled_the_task(app: Celers) -> None:
    task = await app.enqueue("send", to="ada")
    async with app.claims() as claims:
        claimed = await claims.next()
        assert claimed is not None
        assert await task.cancel()
        assert not await claimed.extend()
        assert await claimed.release()
    assert await task.state() is TaskState.CANCELLED


async def test_claims_appear_among_the_workers_while_they_are_open(
    app: Celers, direct: DirectStore
) -> None:
    async with app.claims(name="my-loop", lease="5m"):
        [worker] = direct.run(survey.list_workers)
        assert (worker.name, list(worker.handlers)) == ("my-loop", ["send"])
    assert direct.run(survey.list_workers) == []


async def test_a_payload_without_names_is_read_by_hand(app: Celers) -> None:
    task = await app.enqueue("send", to="ada")
    await change_task(await app.client.store(), task.id, payload=b"[1, 2]")
    async with app.claims() as claims:
        claimed = await claims.next()
        assert claimed is not None
        with pytest.raises(PayloadError, match=r"claimed\.task\.payload"):
            claimed.arguments()
        assert claimed.task.payload == b"[1, 2]"


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_claims_are_used_in_a_block_and_for_some_time(app: Celers) -> None:
    with pytest.raises(ConfigurationError, match="async with"):
        await app.claims().next()
    with pytest.raises(ConfigurationError, match="longer than nothing"):
        app.claims(lease=timedelta(0))


async def test_work_one_runs_the_first_task_and_leaves_the_others(app: Celers) -> None:
    first = await app.enqueue("send", to="ada")
    second = await app.enqueue("send", to="bob")

    settlement = await work_one(app, queues=["emails"])
    assert settlement is not None
    assert settlement.task.id == first.id
    assert settlement.outcome == Completed(b'"sent to ada"')
    assert await second.state() is TaskState.PENDING
    assert await work_one(app, queues=["reports"]) is None
    assert app.client.config.worker.concurrency > 1
