"""How far apart the looks of an idle worker are."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from celers_worker.store import StoreOptions
from celers_worker.store.direct import DirectStore
from celers_worker.store.pacing import Pacing
from tests.store.conftest import OpenStore
from tests.store.steps import any_queue, new_task


def test_without_a_limit_the_looks_do_not_grow_apart() -> None:
    pacing = Pacing(0.0)
    assert [pacing.pause(0.03) for _ in range(5)] == [0.03] * 5


def test_looks_grow_apart_up_to_the_limit_and_no_two_workers_keep_step() -> None:
    pacing = Pacing(1.0)
    pauses = [pacing.pause(0.03) for _ in range(20)]
    for pause, full in zip(pauses, [0.03, 0.06, 0.12, 0.24, 0.48, 0.96], strict=False):
        assert 0.9 * full - 1e-9 <= pause <= full or pause == 0.03
    assert all(0.9 <= pause <= 1.0 for pause in pauses[6:])
    assert len(set(pauses[6:])) > 1


def test_when_something_comes_they_are_close_again() -> None:
    pacing = Pacing(1.0)
    for _ in range(10):
        pacing.pause(0.03)
    pacing.came()
    assert pacing.pause(0.03) == 0.03


def test_a_limit_below_the_pause_of_the_database_changes_nothing() -> None:
    assert Pacing(0.01).pause(0.03) == 0.03


# PostgreSQL tells, and never paces its looks.
@pytest.mark.parametrize("migrated_url", ["sqlite", "mysql"], indirect=True)
async def test_a_task_is_found_after_the_looks_have_grown_apart(
    open_store: OpenStore, direct: DirectStore
) -> None:
    store = await open_store(StoreOptions(poll_backoff=timedelta(seconds=0.5)))
    assert await store.claim("worker-1", any_queue(10)) == []
    for _ in range(200):
        store.pacing.pause(0.005)
    wakeups = store.wakeups()
    direct.enqueue([new_task()])
    claimed = []
    while not claimed:
        await asyncio.wait_for(anext(wakeups), 5)
        claimed = await store.claim("worker-1", any_queue(10))
    await wakeups.aclose()
    assert store.pacing.pause(0.005) == 0.005
