"""What a handler says of how far it is."""

from __future__ import annotations

import math
from typing import Any

import pytest

from celers_worker.core.errors import PayloadError
from celers_worker.core.outcome import Release
from celers_worker.core.progress import Progress
from celers_worker.store import Store
from celers_worker.store.progress import progress_of, tell
from tests.store.steps import enqueue_and_claim, settle


async def test_the_last_word_of_a_run_is_kept(store: Store) -> None:
    task = await enqueue_and_claim(store)
    assert await store.run(progress_of, task.id) is None
    for said in (Progress(1, 3, "first"), Progress(2, 3, "second"), Progress(2, 3, "second")):
        await store.run(tell, task, said)
        told = await store.run(progress_of, task.id)
        assert told is not None
        assert (told.progress, told.lease) == (said, task.lease)


async def test_a_run_that_lost_its_lease_says_nothing(store: Store) -> None:
    task = await enqueue_and_claim(store)
    await settle(store, task, Release())
    await store.run(tell, task, Progress(1))
    assert await store.run(progress_of, task.id) is None


async def test_it_stays_when_the_task_has_ended(store: Store) -> None:
    task = await enqueue_and_claim(store)
    await store.run(tell, task, Progress(1.5))
    await settle(store, task)
    await store.run(tell, task, Progress(2))
    told = await store.run(progress_of, task.id)
    assert told is not None
    assert told.progress == Progress(1.5)


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
def test_progress_is_a_number_from_nothing(wrong: Any) -> None:
    with pytest.raises(PayloadError, match="from 0"):
        Progress(wrong)
    with pytest.raises(PayloadError, match="from 0"):
        Progress(1, wrong)


def test_progress_is_told_in_a_few_words() -> None:
    assert str(Progress(3, 12, "pages")) == "3/12 (25%) pages"
    assert str(Progress(7)) == "7"
    assert str(Progress(0, 0)) == "0/0"
    assert Progress(1, message="x" * 300).message == "x" * 255
