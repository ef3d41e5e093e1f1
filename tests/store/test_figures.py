"""Figures of what ended, ages of what waits, counts by name."""

from datetime import timedelta

import pytest

from celers_worker.core.figures import Grouping
from celers_worker.core.outcome import Cancelled
from celers_worker.store import figures
from tests import crowd
from tests.store.steps import (
    BROKEN,
    DONE,
    bury,
    change_task,
    claim_one,
    enqueue_and_claim,
    execute,
    new_task,
    new_tasks,
    settle,
)

HOUR = timedelta(hours=1)


async def report(store, window=HOUR, **wanted):
    return await store.run(figures.report, window, **wanted)


async def ended(store, outcome=DONE, **changes):
    await settle(store, await enqueue_and_claim(store, **changes), outcome)


async def test_what_ended_is_counted_by_how_it_ended(store):
    await ended(store)
    await ended(store, Cancelled("stopped"))
    await bury(store)
    await store.enqueue(new_tasks(2))
    found = await report(store)
    [all_of_them] = found.groups
    assert (all_of_them.ended, all_of_them.completed) == (3, 1)
    assert (all_of_them.cancelled, all_of_them.failed) == (1, 1)
    assert found.over == found.window == HOUR
    assert 0 <= all_of_them.run.p99 < 60
    assert all_of_them.total.p50 >= all_of_them.run.p50


async def test_a_task_that_failed_once_counts_as_retried(store):
    await settle(store, await enqueue_and_claim(store), BROKEN)
    await settle(store, await claim_one(store), DONE)
    await ended(store)
    [found] = (await report(store)).groups
    assert (found.ended, found.retry_rate, found.failure_rate) == (2, 0.5, 0.0)


async def test_figures_are_told_apart_by_name_and_queue_and_chosen_by_them(store):
    for _ in range(2):
        await ended(store, name="a", queue="x")
    await ended(store, name="b", queue="x")
    by_name = (await report(store, by=Grouping.NAME)).groups
    assert [(one.key, one.ended) for one in by_name] == [("a", 2), ("b", 1)]
    by_queue = (await report(store, by=Grouping.QUEUE)).groups
    assert [(one.key, one.ended) for one in by_queue] == [("x", 3)]
    assert (await report(store, name="b")).groups[0].ended == 1
    assert (await report(store, queue="y")).groups == []


async def test_what_ended_before_the_window_is_left_out(store, direct):
    await ended(store)
    past = {
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '-2 hours')",
        "mysql": "UTC_TIMESTAMP(6) - INTERVAL 2 HOUR",
    }.get(store.url.get_backend_name(), "now() - interval '2 hours'")
    execute(direct, f"UPDATE celers_task_archive SET completed_at = {past}")
    await ended(store)
    assert (await report(store)).groups[0].ended == 1
    assert (await report(store, 3 * HOUR)).groups[0].ended == 2


async def test_of_too_many_the_newest_are_looked_at_and_the_time_they_cover_is_told(store):
    for _ in range(6):
        await ended(store)
    found = await report(store, sample=4)
    assert found.groups[0].ended == 4
    assert timedelta(0) < found.over < timedelta(minutes=1)
    assert found.groups[0].per_second == pytest.approx(4 / found.over.total_seconds())


async def test_a_large_archive_costs_the_figures_a_bounded_look(store, migrated_url):
    crowd.fill_archive(migrated_url, 30_000)
    found = await report(store, sample=1_000)
    assert found.groups[0].ended == 1_000
    assert found.over < HOUR


async def test_due_tasks_are_counted_by_how_long_they_have_been_waiting(store, direct):
    added = await store.enqueue([*new_tasks(2, queue="a"), new_task(queue="b")])
    await store.enqueue([new_task(queue="a", delay=HOUR)])
    old = {
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '-10 minutes')",
        "mysql": "UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE",
    }.get(store.url.get_backend_name(), "now() - interval '10 minutes'")
    execute(direct, f"UPDATE celers_tasks SET scheduled_at = {old} WHERE id = '{added[0].id}'")
    [of_a, of_b] = await store.run(figures.ages)
    assert (of_a.queue, of_a.under_1m, of_a.under_5m, of_a.under_15m) == ("a", 1, 0, 1)
    assert (of_a.under_1h, of_a.older, of_b.under_1m) == (0, 0, 1)
    assert [one.queue for one in await store.run(figures.ages, "b")] == ["b"]


async def test_tasks_are_counted_by_queue_and_name(store):
    await bury(store, name="z")
    await enqueue_and_claim(store, name="b")
    [blocked] = await store.enqueue([new_task(name="a")])
    await change_task(store, blocked.id, state="blocked")
    await store.enqueue([new_task(name="a", delay=HOUR), new_task(name="a"), new_task(queue="q")])
    found = await store.run(figures.count_names)
    assert [(one.queue, one.name) for one in found] == [
        ("default", "a"),
        ("default", "b"),
        ("default", "z"),
        ("q", "send"),
    ]
    of_a, of_b, of_z, _ = found
    assert (of_a.pending, of_a.scheduled, of_a.blocked, of_a.processing) == (1, 1, 1, 0)
    assert (of_b.processing, of_z.dead, of_z.pending) == (1, 1, 0)
    assert [one.name for one in await store.run(figures.count_names, "q")] == ["send"]


async def test_nothing_has_no_figures_ages_or_names(store):
    assert (await report(store)).groups == []
    assert await store.run(figures.ages) == []
    assert await store.run(figures.count_names) == []
