"""``memory://``: SQLite without a file, shared by everything in one process."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from celers_worker import Celers, testing
from celers_worker.core.errors import ConfigurationError
from celers_worker.store import make_direct_store, make_store, memory
from tests.store.steps import any_queue, claim_one, ids, live_rows, new_task, new_tasks


@pytest.fixture
def url() -> str:
    return f"memory://{uuid4().hex}"


async def test_a_loop_and_callers_without_one_share_a_database_in_memory(url: str) -> None:
    store = make_store(url)
    await store.open()
    with make_direct_store(url) as direct:
        direct.open()
        [added] = direct.enqueue([new_task()])
        task = await claim_one(store)
        assert (task.id, ids(live_rows(direct))) == (added.id, [added.id])
    await store.close()


def test_threads_share_a_database_in_memory(url: str) -> None:
    def enqueue() -> None:
        with make_direct_store(url) as direct:
            direct.open()
            for _ in range(20):
                direct.enqueue([new_task()])

    threads = [threading.Thread(target=enqueue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with make_direct_store(url) as direct:
        direct.open()
        assert len(live_rows(direct)) == 80


def test_it_outlives_the_stores_and_the_event_loops_on_it(url: str) -> None:
    async def enqueue() -> None:
        store = make_store(url)
        await store.open()
        await store.enqueue(new_tasks(3))
        await store.close()

    asyncio.run(enqueue())
    asyncio.run(enqueue())
    with make_direct_store(url) as direct:
        direct.open()
        assert len(live_rows(direct)) == 6


def test_each_name_is_a_database_of_its_own(url: str) -> None:
    with make_direct_store(url) as one, make_direct_store(f"{url}-2") as other:
        one.open()
        other.open()
        one.enqueue([new_task()])
        assert (len(live_rows(one)), len(live_rows(other))) == (1, 0)


def test_a_forgotten_one_is_empty_when_it_is_opened_again(url: str) -> None:
    with make_direct_store(url) as direct:
        direct.open()
        direct.enqueue([new_task()])
    memory.forget(url)
    with make_direct_store(url) as direct:
        direct.open()
        assert live_rows(direct) == []


def test_nothing_of_it_is_on_the_disk(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with make_direct_store(url) as direct:
        direct.open()
        direct.enqueue(new_tasks(10))
        assert direct.file is None
        assert direct.name == url
    assert list(tmp_path.iterdir()) == []


async def test_it_tells_of_what_others_in_the_process_enqueue(url: str) -> None:
    store = make_store(url)
    await store.open()
    wakeups = store.wakeups()
    await anext(wakeups)  # what came before it listened
    hint = asyncio.ensure_future(anext(wakeups))
    with make_direct_store(url) as direct:
        direct.enqueue([new_task()])
    await asyncio.wait_for(hint, 5)
    assert len(await store.claim("worker-1", any_queue(10))) == 1
    await wakeups.aclose()
    await store.close()


@pytest.mark.parametrize("url", ["memory://a.b", "memory://a/b", "memory://u@h", "memory://h:1"])
def test_a_name_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write memory:// or memory://NAME"):
        make_store(url)


async def test_an_application_is_tested_without_a_file() -> None:
    with make_direct_store("memory://") as mine:  # not the tests' to forget
        mine.open()
        mine.enqueue([new_task()])
    app = Celers()

    @app.task()
    async def greet(name: str) -> str:
        return f"Hello, {name}!"

    for _ in range(2):
        app.client.config = testing.config()
        task = await greet.enqueue(name="Ada")
        assert (await testing.drain(app)).completed == ["greet"]
        assert await task.result() == "Hello, Ada!"
        assert (await testing.drain(app)).completed == []
        await app.close()
    with make_direct_store("memory://") as mine:
        assert len(live_rows(mine)) == 1
    memory.forget("memory://")
