"""Callers that enqueue at the same time share a commit, and nothing else."""

import asyncio
import contextlib
import itertools

import pytest
from sqlalchemy import func, literal_column, select, text

from celers_worker.core.errors import StoreError, Unavailable
from celers_worker.store.schema import tasks
from tests import databases
from tests.store.steps import claim_all, ids, new_task, new_tasks
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
UNSTORABLE = "no\0name"


def commits(direct):
    """In how many transactions the rows were written."""
    query = select(func.count(func.distinct(literal_column("xmin::text")))).select_from(tasks)
    return direct.run(lambda transaction: transaction.connection.execute(query).scalar_one())


def together(batches):
    return list(itertools.chain.from_iterable(batches))


async def enqueue_together(store, *batches):
    """Enqueue each batch in a call of its own, all at once; returns results or errors."""
    calls = [asyncio.ensure_future(store.enqueue(batch)) for batch in batches]
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_what_comes_while_another_is_written_goes_together(store, direct):
    batches = [new_tasks(1) for _ in range(20)]
    added = await enqueue_together(store, *batches)
    assert [one.id for answer in added for one in answer] == ids(together(batches))
    assert commits(direct) == 2  # the first, who was alone, and all others
    assert ids(await claim_all(store)) == ids(together(batches))


async def test_callers_who_come_again_at_once_never_take_the_slow_way(store, monkeypatch):
    async def slow(*_, **__):
        raise AssertionError("an enqueue was repeated though none had failed")

    monkeypatch.setattr(store, "run", slow)

    async def add():
        for _ in range(20):
            await store.enqueue(new_tasks(1))

    await asyncio.gather(*(add() for _ in range(8)))


async def test_no_more_than_a_thousand_tasks_go_together(store, direct):
    await enqueue_together(store, *(new_tasks(600) for _ in range(4)))
    assert commits(direct) == 4
    assert len(await claim_all(store)) == 2_400


async def test_a_task_that_cannot_be_stored_fails_alone(store):
    good = [new_tasks(1) for _ in range(5)]
    bad = [new_task(name=UNSTORABLE)]
    first, *answers = await enqueue_together(store, good[0], good[1], bad, *good[2:])
    assert len(first) == 1
    assert [type(one) for one in answers] == [list, StoreError, list, list, list]
    assert sorted(ids(await claim_all(store))) == sorted(ids(together(good)))


async def test_the_first_that_fails_does_not_stop_those_behind_it(store):
    answers = await enqueue_together(store, [new_task(name=UNSTORABLE)], new_tasks(1), new_tasks(1))
    assert [type(one) for one in answers] == [StoreError, list, list]
    assert len(await claim_all(store)) == 2


async def test_a_connection_that_breaks_costs_no_caller_his_tasks(store, migrated_url):
    await store.enqueue(new_tasks(1))
    calls = [asyncio.ensure_future(store.enqueue(new_tasks(1))) for _ in range(10)]
    databases.execute(
        migrated_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE '%INSERT INTO celers_tasks%'"
        " AND pid <> pg_backend_pid()",
    )
    await asyncio.gather(*calls)
    assert len(await claim_all(store)) == 11


async def test_a_caller_who_is_cancelled_takes_nobody_along(store):
    for cancelled in range(4):
        calls = [asyncio.ensure_future(store.enqueue(new_tasks(1))) for _ in range(4)]
        await asyncio.sleep(0)
        calls[cancelled].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        others = [answer for index, answer in enumerate(answers) if index != cancelled]
        assert all(isinstance(answer, list) for answer in others), answers
    assert 12 <= len(await claim_all(store)) <= 16


async def test_callers_whose_writer_is_cancelled_are_told(store):
    calls = [asyncio.ensure_future(store.enqueue(new_tasks(1))) for _ in range(3)]
    await calls[0]
    [writer] = [task for task in asyncio.all_tasks() if task.get_name() == "celers-enqueues"]
    writer.cancel()
    # Each looks for its own task, and adds it if it is not there.
    assert all(isinstance(answer, list) for answer in await asyncio.gather(*calls))
    assert len(await claim_all(store)) == 3


async def test_only_one_of_those_who_commit_together_announces(store, open_store, direct):
    listener = await open_store()
    wakeups = listener.wakeups()
    await anext(wakeups)
    with direct.engine.connect() as other:  # is just announcing the same queue
        other.execute(text("SELECT pg_advisory_xact_lock(1667591269, hashtext('default'))"))
        await store.enqueue(new_tasks(1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await anext(wakeups)
        other.rollback()
    with contextlib.suppress(StopAsyncIteration, Unavailable):
        await wakeups.aclose()
    assert len(await claim_all(store)) == 1


async def test_a_hint_is_followed_by_another_for_those_who_did_not_announce(store, open_store):
    listener = await open_store()
    wakeups = listener.wakeups()
    await anext(wakeups)
    await store.enqueue(new_tasks(1))
    async with asyncio.timeout(5):
        await anext(wakeups)
        await anext(wakeups)
    await wakeups.aclose()


async def test_announcements_go_straight_to_who_asked_for_them(store, open_store):
    listener = await open_store()
    heard = []
    listener.on_announced(lambda: heard.append(1))
    wakeups = listener.wakeups()
    assert (await anext(wakeups)).control
    hint = asyncio.ensure_future(anext(wakeups))
    await store.enqueue(new_tasks(1))
    await eventually(lambda: len(heard) == 2)  # the second for those who did not announce
    assert not hint.done()
    hint.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hint
    await wakeups.aclose()
