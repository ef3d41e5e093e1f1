"""A handler's own transaction: its writes, what it enqueues and its task's end are one commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from celers_worker.core.errors import CelersError, Unavailable
from celers_worker.core.outcome import Completed, Release, Settlement
from celers_worker.core.task import Task, TaskState
from celers_worker.store import Store, StoreOptions, borrowed, inspect, maintenance, results
from celers_worker.store.direct import DirectStore
from celers_worker.store.handler_session import Fate, HandlerSessions, fate_of
from tests.store.conftest import OpenStore
from tests.store.steps import (
    WORKER,
    enqueue_and_claim,
    execute,
    live_rows,
    lose_worker,
    new_task,
    settle,
    start_worker,
)

INSERT = text("INSERT INTO celers_queues (name, paused_reason) VALUES (:name, 'written')")
DONE = Completed(b'"done"')


@pytest.fixture
async def sessions(store: Store) -> AsyncIterator[HandlerSessions]:
    opened = HandlerSessions(store)
    yield opened
    await opened.close()


def effects(direct: DirectStore) -> list[str]:
    """What the handlers wrote: rows of a table that nobody looks at here."""
    return [row.name for row in execute(direct, "SELECT name FROM celers_queues ORDER BY name")]


async def state(store: Store, task: Task) -> TaskState:
    view = await store.run(inspect.task, task.id)
    assert view is not None
    return view.state


async def test_writes_enqueues_and_the_end_of_the_task_are_one_commit(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    task = await enqueue_and_claim(store)
    async with sessions.open() as opened:
        await opened.session.execute(INSERT, {"name": "a"})
        await borrowed.run(opened.session, lambda tx: tx.enqueue([new_task(name="follow-up")]))
        assert await opened.settle(WORKER, Settlement(task, DONE))
        await opened.commit()
    assert effects(direct) == ["a"]
    assert [row.task_name for row in live_rows(direct)] == ["follow-up"]
    ending = await store.run(results.ending_of, task.id)
    assert ending is not None
    assert (ending.state, ending.value) == (TaskState.COMPLETED, "done")


async def test_a_thread_settles_in_its_own_transaction_too(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    task = await enqueue_and_claim(store)

    def handler() -> None:
        with sessions.open_sync() as opened:
            opened.session.execute(INSERT, {"name": "a"})
            borrowed.run_sync(opened.session, lambda tx: tx.enqueue([new_task(name="follow-up")]))
            assert opened.settle(WORKER, Settlement(task, DONE))
            opened.commit()

    await asyncio.to_thread(handler)
    assert effects(direct) == ["a"]
    assert [row.task_name for row in live_rows(direct)] == ["follow-up"]
    assert await state(store, task) is TaskState.COMPLETED


async def test_what_is_not_committed_is_undone(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    task = await enqueue_and_claim(store)

    async def coroutine() -> None:
        async with sessions.open() as opened:
            await opened.session.execute(INSERT, {"name": "a"})
            assert await opened.settle(WORKER, Settlement(task, DONE))
            raise ZeroDivisionError

    def handler() -> None:
        with sessions.open_sync() as opened:
            opened.session.execute(INSERT, {"name": "b"})
            assert opened.settle(WORKER, Settlement(task, DONE))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await coroutine()
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(handler)
    assert effects(direct) == []
    assert await state(store, task) is TaskState.PROCESSING
    assert await settle(store, task)


async def test_a_lost_lease_lets_nothing_be_settled(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    await start_worker(store)
    task = await enqueue_and_claim(store)
    await lose_worker(store)
    await store.run(maintenance.reap, max_crashes=3)
    async with sessions.open() as opened:
        await opened.session.execute(INSERT, {"name": "a"})
        assert not await opened.settle(WORKER, Settlement(task, DONE))
    assert effects(direct) == []
    assert await state(store, task) is TaskState.PENDING


@pytest.mark.parametrize("keep", [True, False], ids=["archived", "deleted"])
async def test_what_became_of_a_commit_can_be_found_out(open_store: OpenStore, keep: bool) -> None:
    days = StoreOptions(keep_completed=keep)
    store = await open_store(days)
    open_one, done, given_back = [await enqueue_and_claim(store) for _ in range(3)]
    await settle(store, done, DONE)
    await settle(store, given_back, Release())

    async def fate(task: Task) -> Fate:
        return await store.run(fate_of, Settlement(task, DONE), keep_completed=keep)

    assert await fate(open_one) is Fate.UNDONE
    assert await fate(done) is Fate.COMMITTED
    assert await fate(given_back) is Fate.LOST


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
async def test_who_asks_for_the_fate_waits_for_a_commit_under_way(
    store: Store, sessions: HandlerSessions
) -> None:
    task = await enqueue_and_claim(store)
    async with sessions.open() as opened:
        assert await opened.settle(WORKER, Settlement(task, DONE))
        asking = asyncio.create_task(
            store.run(fate_of, Settlement(task, DONE), keep_completed=True)
        )
        await asyncio.wait({asking}, timeout=0.2)
        assert not asking.done()
        await opened.commit()
        assert await asking is Fate.COMMITTED


async def test_a_transaction_that_was_ended_inside_its_block_settles_nothing(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    task = await enqueue_and_claim(store)
    async with sessions.open() as opened:
        await opened.session.execute(INSERT, {"name": "a"})
        await opened.session.rollback()
        with pytest.raises(CelersError, match="begin_nested"):
            await opened.settle(WORKER, Settlement(task, DONE))
    assert effects(direct) == []
    assert await state(store, task) is TaskState.PROCESSING


async def test_a_part_that_fails_can_be_undone_alone(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    task = await enqueue_and_claim(store)
    async with sessions.open() as opened:
        await opened.session.execute(INSERT, {"name": "a"})
        async with opened.session.begin_nested() as savepoint:
            await opened.session.execute(INSERT, {"name": "b"})
            await savepoint.rollback()
        assert await opened.settle(WORKER, Settlement(task, DONE))
        await opened.commit()
    assert effects(direct) == ["a"]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_a_block_that_takes_too_long_gives_the_file_back(
    open_store: OpenStore, direct: DirectStore
) -> None:
    """The servers end a session that is silent in a transaction; SQLite's writer does it itself."""
    store = await open_store(StoreOptions(call_timeout=timedelta(milliseconds=300)))
    sessions = HandlerSessions(store)
    task = await enqueue_and_claim(store)
    async with sessions.open() as opened:
        await opened.session.execute(INSERT, {"name": "a"})
        await settle(store, task, Release())  # which waits for the writer
        with pytest.raises(Unavailable, match="Keep the block short"):
            await opened.session.execute(INSERT, {"name": "b"})
    await sessions.close()
    assert effects(direct) == []
    assert await state(store, task) is TaskState.PENDING


async def test_what_was_written_can_be_read_in_it(store: Store, sessions: HandlerSessions) -> None:
    several = [{"name": name} for name in "abc"]
    async with sessions.open() as opened:
        await opened.session.execute(INSERT, several)
        rows = await opened.session.execute(text("SELECT name FROM celers_queues ORDER BY name"))
        assert rows.scalars().all() == ["a", "b", "c"]
        count = await opened.session.scalar(text("SELECT count(*) FROM celers_queues"))
        assert count == 3
        streamed = await opened.session.execute(text("SELECT name FROM celers_queues ORDER BY 1"))
        assert [streamed.fetchone(), *streamed.fetchmany(1), *streamed.fetchall()] == [
            ("a",),
            ("b",),
            ("c",),
        ]
        gone = await opened.session.execute(text("DELETE FROM celers_queues WHERE name < 'c'"))
        assert gone.rowcount == 2


async def test_a_mapped_class_works_in_it(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    class Base(DeclarativeBase):
        pass

    class Queue(Base):
        __tablename__ = "celers_queues"
        name: Mapped[str] = mapped_column(primary_key=True)
        paused_reason: Mapped[str | None]

    task = await enqueue_and_claim(store)
    async with sessions.open() as opened:
        opened.session.add(Queue(name="a", paused_reason="mapped"))
        await opened.session.flush()
        found = await opened.session.get_one(Queue, "a")
        found.paused_reason = "changed"
        assert await opened.settle(WORKER, Settlement(task, DONE))
        await opened.commit()
    assert found.paused_reason == "changed"
    rows = execute(direct, "SELECT name, paused_reason FROM celers_queues")
    assert [tuple(row) for row in rows] == [("a", "changed")]


async def test_many_sessions_take_turns(
    store: Store, sessions: HandlerSessions, direct: DirectStore
) -> None:
    tasks = [await enqueue_and_claim(store) for _ in range(12)]

    async def handler(task: Task, number: int) -> None:
        async with sessions.open() as opened:
            await opened.session.execute(INSERT, {"name": f"{number:02}"})
            await asyncio.sleep(0)
            assert await opened.settle(WORKER, Settlement(task, DONE))
            await opened.commit()

    await asyncio.gather(*(handler(task, number) for number, task in enumerate(tasks)))
    assert effects(direct) == [f"{number:02}" for number in range(12)]
    assert not live_rows(direct)
