"""Lists of tasks: every filter, and pages that hold while others write."""

import asyncio
from datetime import timedelta

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import inspect
from celers_worker.store.inspect import TaskFilter
from tests.store.steps import (
    DONE,
    bury,
    claim_all,
    enqueue_and_claim,
    execute,
    ids,
    new_task,
    new_tasks,
    settle,
)


async def listed(store, **wanted):
    return ids(await store.run(inspect.list_tasks, TaskFilter(**wanted)))


async def test_scheduled_are_those_that_wait_and_are_not_due(store):
    await enqueue_and_claim(store)
    [due, later] = await store.enqueue([new_task(), new_task(delay=timedelta(hours=1))])
    assert await listed(store, scheduled=True) == [later.id]
    assert await listed(store, states=[TaskState.PENDING]) == [later.id, due.id]
    both = await listed(store, states=[TaskState.PROCESSING], scheduled=True)
    assert len(both) == 2
    assert await store.run(inspect.count_tasks, TaskFilter(scheduled=True)) == 1


async def test_tasks_are_chosen_by_their_age_from_both_sides(store, direct):
    [old, new] = await store.enqueue(new_tasks(2))
    past = {
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '-1 hours')",
        "mysql": "UTC_TIMESTAMP(6) - INTERVAL 1 HOUR",
    }.get(store.url.get_backend_name(), "now() - interval '1 hour'")
    execute(direct, f"UPDATE celers_tasks SET created_at = {past} WHERE id = '{old.id}'")
    half = timedelta(minutes=30)
    assert await listed(store, older_than=half) == [old.id]
    assert await listed(store, newer_than=half) == [new.id]
    assert await listed(store, older_than=half, newer_than=2 * half) == []
    assert await listed(store, older_than=half, newer_than=3 * half) == [old.id]


@pytest.mark.parametrize(
    ("metadata", "wanted", "found"),
    [
        ({"tenant": "acme"}, {"tenant": "acme"}, True),
        ({"tenant": "acme"}, {"tenant": "Acme"}, False),
        ({"tenant": "acme", "n": 5}, {"tenant": "acme", "n": "5"}, True),
        ({"tenant": "acme", "n": 5}, {"tenant": "acme", "n": "6"}, False),
        ({"on": True}, {"on": "true"}, True),
        ({"on": False}, {"on": "false"}, True),
        ({"a.b": "dotted"}, {"a.b": "dotted"}, True),
        ({"q": "it's 100%"}, {"q": "it's 100%"}, True),
        ({"who": "Zoë 😀"}, {"who": "Zoë 😀"}, True),
        ({"other": "x"}, {"tenant": "x"}, False),
        (None, {"tenant": "x"}, False),
        ({"x": "' OR '1'='1"}, {"x": "' OR '1'='1"}, True),
    ],
)
async def test_tasks_are_chosen_by_their_metadata(store, metadata, wanted, found):
    [task] = await store.enqueue([new_task(metadata=metadata)])
    await store.enqueue(new_tasks(2))
    assert await listed(store, metadata=wanted) == [task.id] * found


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_a_row_with_broken_metadata_hides_no_other(store, direct):
    [broken, right] = await store.enqueue([new_task(), new_task(metadata={"a": "b"})])
    execute(direct, f"UPDATE celers_tasks SET metadata = '{{' WHERE id = '{broken.id}'")
    assert await listed(store, metadata={"a": "b"}) == [right.id]


async def test_metadata_is_searched_among_live_archived_and_dead_tasks(store):
    await bury(store, metadata={"who": "ada"})
    await settle(store, await enqueue_and_claim(store, metadata={"who": "ada"}), DONE)
    await store.enqueue([new_task(metadata={"who": "ada"}), new_task(metadata={"who": "bob"})])
    assert len(await listed(store, metadata={"who": "ada"})) == 3


async def test_pages_hold_while_tasks_end_and_come(store, open_store):
    """Each task that was there from the first page to the last is on exactly one page."""
    another = await open_store()
    added = ids(await store.enqueue(new_tasks(60)))
    seen, last = [], None

    async def live_on():
        for task in await claim_all(another):
            await settle(another, task, DONE)
            await another.enqueue([new_task()])

    living = asyncio.create_task(live_on())
    while page := await store.run(inspect.list_tasks, TaskFilter(), limit=7, before=last):
        seen += ids(page)
        last = page[-1].id
        await asyncio.sleep(0)
    await living
    assert len(seen) == len(set(seen))
    assert set(added) <= set(seen)


async def test_a_page_is_the_same_whatever_the_tables_of_its_tasks(store):
    await store.enqueue(new_tasks(4))
    for task in (await claim_all(store))[:2]:
        await settle(store, task, DONE)
    await bury(store)
    page = await store.run(inspect.list_tasks, TaskFilter(), limit=3)
    rest = await store.run(inspect.list_tasks, TaskFilter(), limit=3, before=page[-1].id)
    assert ids([*page, *rest]) == sorted(ids([*page, *rest]), reverse=True)
    assert len({view.state for view in (*page, *rest)}) == 3
