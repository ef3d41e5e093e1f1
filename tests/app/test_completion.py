"""A handler that ends its task in the transaction of its own writes: effects happen once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import structs
from sqlalchemy import text, update

from celers_worker import Celers, Context, EnqueuedTask, Snooze, Worker, backoff
from celers_worker.core.errors import CelersError, LeaseLost, PayloadError
from celers_worker.core.events import (
    Events,
    LeasesLost,
    OutcomeIgnored,
    SettleRefused,
    TaskEnded,
    TasksSettled,
)
from celers_worker.core.outcome import Completed
from celers_worker.core.task import TaskState
from celers_worker.store import inspect, results, sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import tasks
from tests.services.crews import Seen
from tests.services.relay import Relay
from tests.store.steps import execute, live_row, live_rows
from tests.waiting import eventually

INSERT = text("INSERT INTO celers_queues (name, paused_reason) VALUES (:name, 'written')")
SOON = backoff.fixed("10ms")


class Working:
    """A worker in this loop, and what it tells."""

    def __init__(self, app: Celers, *, upkeep: bool = True) -> None:
        self.events = Events()
        self.seen = Seen(self.events)
        self.worker = Worker(app, app.client.config, events=self.events, upkeep=upkeep)

    async def __aenter__(self) -> Working:
        await self.worker.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.worker.__aexit__(*details)

    def completed(self) -> list[UUID]:
        return [
            one.task.id
            for event in self.seen.of(TasksSettled)
            for one in event.settlements
            if isinstance(one.outcome, Completed)
        ]


def effects(direct: DirectStore) -> int:
    """How many rows handlers wrote, each run one of its own."""
    return int(execute(direct, "SELECT count(*) FROM celers_queues")[0][0])


async def has_state(task: EnqueuedTask[Any], state: TaskState) -> None:
    async def reached() -> bool:
        return await task.state() is state

    await eventually(reached, within=20)


async def write(session: Any) -> None:
    await session.execute(INSERT, {"name": uuid4().hex})


def write_sync(session: Any) -> None:
    session.execute(INSERT, {"name": uuid4().hex})


def take_over(direct: DirectStore, task_id: UUID) -> None:
    """What the reaper does to the task of a worker that is lost."""
    direct.run(
        lambda transaction: transaction.connection.execute(
            update(tasks)
            .where(tasks.c.id == task_id)
            .values(
                lease=tasks.c.lease + 1,
                state="pending",
                worker_id=None,
                crash_count=1,
                scheduled_at=sql.later(0),
            )
        )
    )


# --- one commit ---


async def test_writes_follow_ups_and_the_result_are_one_commit(
    app: Celers, direct: DirectStore
) -> None:
    @app.task()
    async def receipt(order: int) -> None: ...

    @app.task()
    async def pay(context: Context, order: int) -> None:
        async with context.transaction() as session:
            await write(session)
            later = receipt.with_(delay="1h")
            await later.using(session).enqueue(order)
            await context.enqueue(later.call(order), later.call(order))
            context.complete({"paid": order})

    async with Working(app) as working:
        task = await pay.enqueue(7)
        assert await task.result() == {"paid": 7}
        await eventually(lambda: working.completed() == [task.id])
        assert len(working.seen.of(TaskEnded)) == 1
    assert effects(direct) == 1
    assert [row.task_name for row in live_rows(direct)] == ["receipt"] * 3
    assert not working.seen.of(SettleRefused)
    assert not working.seen.of(OutcomeIgnored)


async def test_a_handler_in_a_thread_has_the_same(app: Celers, direct: DirectStore) -> None:
    @app.task()
    def receipt(order: int) -> None: ...

    @app.task()
    def pay(context: Context, order: int) -> None:
        with context.transaction_sync() as session:
            write_sync(session)
            later = receipt.with_(delay="1h")
            later.using(session).enqueue_sync(order)
            context.enqueue_sync(later.call(order))
            context.complete({"paid": order})

    async with Working(app) as working:
        task = await pay.enqueue(7)
        assert await task.result() == {"paid": 7}
        await eventually(lambda: working.completed() == [task.id])
    assert effects(direct) == 1
    assert [row.task_name for row in live_rows(direct)] == ["receipt"] * 2
    assert not working.seen.of(OutcomeIgnored)


async def test_many_at_once_each_have_their_effect_once(app: Celers, direct: DirectStore) -> None:
    @app.task()
    async def pay(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)

    @app.task()
    def pay_in_a_thread(context: Context) -> None:
        with context.transaction_sync() as session:
            write_sync(session)

    async with Working(app) as working:
        await app.enqueue_many([pay.call() for _ in range(25)])
        await app.enqueue_many([pay_in_a_thread.call() for _ in range(25)])
        await eventually(lambda: len(working.completed()) == 50, within=30)
    assert effects(direct) == 50
    assert live_rows(direct) == []


# --- what fails ---


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_an_exception_in_the_block_undoes_it_all_and_the_attempt_counts(
    app: Celers, direct: DirectStore, kind: str
) -> None:
    def fail(context: Context) -> None:
        if context.attempt < 3:
            raise ValueError("not yet")

    async def coroutine(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)
            await context.enqueue(app_task.with_(delay="1h").call())
            fail(context)

    def thread(context: Context) -> None:
        with context.transaction_sync() as session:
            write_sync(session)
            context.enqueue_sync(app_task.with_(delay="1h").call())
            fail(context)

    declare = app.task(name="pay", backoff=SOON)
    app_task = declare(coroutine) if kind == "coroutine" else declare(thread)

    async with Working(app):
        task = await app_task.enqueue()
        await task.result()
    assert effects(direct) == 1
    assert len(live_rows(direct)) == 1
    view = direct.run(inspect.task, task.id)
    assert view is not None
    assert view.retry_count == 2


async def test_a_snooze_in_the_block_undoes_it_and_counts_no_attempt(
    app: Celers, direct: DirectStore
) -> None:
    @app.task()
    async def pay(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)
            raise Snooze("1h")

    async with Working(app) as working:
        task = await pay.enqueue()
        await eventually(lambda: working.seen.of(TasksSettled))
    assert effects(direct) == 0
    row = live_row(direct, task.id)
    assert (row.state, row.retry_count) == (TaskState.PENDING, 0)


async def test_a_result_that_cannot_be_stored_undoes_the_block(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(max_retries=0)
    async def pay(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)
            with pytest.raises(PayloadError):
                context.complete(float("nan"))
            context.complete(object())

    async with Working(app):
        task = await pay.enqueue()
        await has_state(task, TaskState.FAILED)
    assert effects(direct) == 0


async def test_a_run_that_is_cancelled_in_the_block_leaves_nothing(
    app: Celers, direct: DirectStore
) -> None:
    inside = asyncio.Event()

    @app.task()
    async def pay(context: Context) -> None:
        async with context.transaction() as session:
            await session.execute(text("SELECT 1"))
            inside.set()
            await asyncio.sleep(60)
            await write(session)

    async with Working(app):
        task = await pay.with_(timeout="1s", max_retries=0).enqueue()
        await inside.wait()
        await has_state(task, TaskState.FAILED)
    assert effects(direct) == 0


async def test_a_block_can_be_had_once(app: Celers, direct: DirectStore) -> None:
    @app.task()
    async def pay(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)
        with pytest.raises(CelersError, match="a handler has one"):
            async with context.transaction() as session:
                await write(session)

    async with Working(app):
        task = await pay.enqueue()
        await task.result()
    assert effects(direct) == 1


@pytest.mark.parametrize("ending", ["returns", "raises"])
async def test_what_a_handler_does_after_its_block_changes_nothing_and_is_told(
    app: Celers, direct: DirectStore, ending: str
) -> None:
    @app.task()
    async def pay(context: Context) -> str:
        async with context.transaction() as session:
            await write(session)
        if ending == "raises":
            raise ValueError("too late")
        return "too late"

    async with Working(app) as working:
        task = await pay.enqueue()
        ignored = await eventually(lambda: working.seen.of(OutcomeIgnored))
    assert [event.settlement.task.id for event in ignored] == [task.id]
    assert await task.result() is None
    assert (effects(direct), live_rows(direct)) == (1, [])
    assert working.completed() == [task.id]


async def test_a_handler_that_hangs_after_its_block_is_cancelled_in_time(
    app: Celers, direct: DirectStore
) -> None:
    cancelled = asyncio.Event()

    @app.task(timeout="3s", max_retries=0)
    async def pay(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with Working(app) as working:
        task = await pay.enqueue()
        await cancelled.wait()
        [ignored] = await eventually(lambda: working.seen.of(OutcomeIgnored))
    assert "timeout" in str(getattr(ignored.settlement.outcome, "failure", ""))
    assert await task.state() is TaskState.COMPLETED
    assert (effects(direct), working.completed()) == (1, [task.id])


async def test_a_block_is_opened_once_at_a_time_and_has_the_result(app: Celers) -> None:
    @app.task()
    async def pay(context: Context) -> None:
        with pytest.raises(CelersError, match="none is open"):
            context.complete(1)
        with contextlib.suppress(ZeroDivisionError):
            async with context.transaction():
                context.complete("of a block that failed")
                raise ZeroDivisionError
        async with context.transaction():
            with pytest.raises(CelersError, match="open already"):
                async with context.transaction():
                    pass

    async with Working(app):
        task = await pay.enqueue()
        assert await task.result() is None


async def test_more_blocks_than_connections_wait_and_no_attempt_is_burnt(
    app: Celers, direct: DirectStore
) -> None:
    config = app.client.config
    database = structs.replace(
        config.database, pool_size=2, call_timeout=timedelta(milliseconds=800)
    )
    app.client.config = structs.replace(config, database=database)
    attempts: list[int] = []

    @app.task(max_retries=0)
    async def pay(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)
            await asyncio.sleep(0.1)
        attempts.append(context.attempt)

    async with Working(app) as working:
        await app.enqueue_many([pay.call() for _ in range(20)])
        await eventually(lambda: len(working.completed()) == 20, within=20)
    assert attempts == [1] * 20
    assert effects(direct) == 20


def test_a_context_without_a_worker_says_so(app: Celers) -> None:
    from tests.services.desk import a_task

    with pytest.raises(CelersError, match=r"testing\.drain"):
        Context(a_task()).transaction()


# --- an answer that is lost ---


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_a_commit_whose_answer_is_lost_is_found_out_and_not_done_twice(
    app: Celers, direct: DirectStore, migrated_url: str, kind: str
) -> None:
    ends: list[str] = []

    async def coroutine(context: Context) -> None:
        async with context.transaction() as session:
            await write(session)
            context.complete("paid")
        ends.append("committed")

    def thread(context: Context) -> None:
        with context.transaction_sync() as session:
            write_sync(session)
            context.complete("paid")
        ends.append("committed")

    declare = app.task(name="pay", backoff=SOON)
    pay = declare(coroutine) if kind == "coroutine" else declare(thread)
    task = await pay.enqueue()
    async with Relay(migrated_url) as relay:
        config = app.client.config
        database = structs.replace(config.database, url=relay.url)
        app.client.config = structs.replace(config, database=database)
        relay.lose_the_answer_after(b"INSERT INTO celers_queues", b"COMMIT")
        async with Working(app) as working:
            await eventually(lambda: working.completed() == [task.id], within=20)
            await eventually(lambda: ends)
    assert ends == ["committed"]
    assert (effects(direct), live_rows(direct)) == (1, [])
    ending = direct.run(results.ending_of, task.id)
    assert ending is not None
    assert ending.value == "paid"
    assert not working.seen.of(SettleRefused)


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_a_commit_that_never_arrived_is_an_attempt_that_failed(
    app: Celers, direct: DirectStore, migrated_url: str
) -> None:
    attempts: list[int] = []
    relay = Relay(migrated_url)

    @app.task(backoff=SOON)
    async def pay(context: Context) -> None:
        attempts.append(context.attempt)
        async with context.transaction() as session:
            await write(session)
            if context.attempt == 1:
                relay.hold_back(b"COMMIT")

    task = await pay.enqueue()
    async with relay:
        config = app.client.config
        database = structs.replace(
            config.database, url=relay.url, call_timeout=timedelta(seconds=2)
        )
        # Nobody else commits meanwhile.
        calm = structs.replace(config.worker, heartbeat_interval=timedelta(seconds=10))
        app.client.config = structs.replace(config, database=database, worker=calm)
        async with Working(app, upkeep=False) as working:
            await relay.holds.wait()
            await eventually(lambda: working.completed() == [task.id], within=20)
            relay.let_arrive()
    assert attempts == [1, 2]
    assert (effects(direct), live_rows(direct)) == (1, [])


# --- a lease that is lost ---


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_two_runs_of_one_task_have_its_effect_once(
    app: Celers, direct: DirectStore, kind: str
) -> None:
    """On a file the one that is in its block keeps everybody from taking the task over."""
    go_on = threading.Event()
    errors: list[BaseException] = []

    async def coroutine(context: Context) -> None:
        try:
            async with context.transaction() as session:
                await write(session)
                if context.task.crash_count == 0:
                    await asyncio.to_thread(take_over, direct, context.task.id)
                    await asyncio.to_thread(go_on.wait, 10)
        except (LeaseLost, asyncio.CancelledError) as error:  # the heartbeat may see it first
            errors.append(error)
            raise
        go_on.set()

    def thread(context: Context) -> None:
        try:
            with context.transaction_sync() as session:
                write_sync(session)
                if context.task.crash_count == 0:
                    take_over(direct, context.task.id)
                    go_on.wait(10)
        except (LeaseLost, asyncio.CancelledError) as error:  # the heartbeat may see it first
            errors.append(error)
            raise
        go_on.set()

    declare = app.task(name="pay")
    pay = declare(coroutine) if kind == "coroutine" else declare(thread)

    async with Working(app) as working, Working(app) as other:
        task = await pay.enqueue()
        await task.result()
        await eventually(lambda: errors)
    assert effects(direct) == 1
    assert len(working.completed() + other.completed()) == 1
    lost = working.seen.of(LeasesLost) + other.seen.of(LeasesLost)
    assert [[one.id for one in event.tasks] for event in lost] == [[task.id]]


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_a_task_that_was_taken_over_before_the_block_has_no_effect(
    app: Celers, direct: DirectStore, kind: str
) -> None:
    async def coroutine(context: Context) -> None:
        if context.task.crash_count == 0:
            await asyncio.to_thread(take_over, direct, context.task.id)
        async with context.transaction() as session:
            await write(session)

    def thread(context: Context) -> None:
        if context.task.crash_count == 0:
            take_over(direct, context.task.id)
        with context.transaction_sync() as session:
            write_sync(session)

    declare = app.task(name="pay")
    pay = declare(coroutine) if kind == "coroutine" else declare(thread)

    async with Working(app) as working, Working(app) as other:
        task = await pay.enqueue()
        await task.result()
    assert effects(direct) == 1
    assert len(working.completed() + other.completed()) == 1
