"""Workers inside an application: several in one loop, and one in a thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from celers_worker import Celers, TaskFailed, Worker, WorkerThread
from celers_worker.config import Config, load_config
from celers_worker.core.errors import CelersError
from celers_worker.core.task import TaskState


def configured(folder: Path, **worker: Any) -> Config:
    flags = {f"worker.{key}": value for key, value in worker.items()}
    flags["database.url"] = f"sqlite:///{folder / 'celers.db'}"
    return load_config(environment={}, flags=flags).config


async def test_two_workers_in_one_loop_serve_their_own_queues(tmp_path: Path) -> None:
    app = Celers()
    ran: list[str] = []

    @app.task(queue="first")
    async def one() -> None:
        ran.append("one")

    @app.task(queue="second")
    async def two() -> None:
        ran.append("two")

    @app.task(queue="third")
    async def three() -> None:
        ran.append("three")

    first = configured(tmp_path, queues=["first"], name="first")
    app.client.config = first
    waits = await three.enqueue()
    async with (
        Worker(app, first),
        Worker(app, configured(tmp_path, queues=["second"], name="second")),
    ):
        await (await one.enqueue()).result()
        await (await two.enqueue()).result()
    assert sorted(ran) == ["one", "two"]
    assert await waits.state() is TaskState.PENDING
    await app.close()


async def test_each_worker_has_its_handlers_as_its_own_configuration_says(tmp_path: Path) -> None:
    app = Celers()
    slow = asyncio.Event()

    @app.task(queue="first", max_retries=0)
    async def one() -> None:
        await slow.wait()

    @app.task(queue="second")
    async def two() -> str:
        return "two"

    first = load_config(
        environment={},
        flags={
            "database.url": f"sqlite:///{tmp_path / 'celers.db'}",
            "worker.queues": ["first"],
            "handlers.one.timeout": "10ms",
        },
    ).config
    # Both are made before either starts.
    workers = Worker(app, first), Worker(app, configured(tmp_path, queues=["second"]))
    async with workers[0], workers[1]:
        assert await (await two.enqueue()).result() == "two"
        with pytest.raises(TaskFailed, match="timeout of 10ms"):
            await (await one.enqueue()).result()
    await app.close()


def test_a_synchronous_application_runs_a_worker_in_a_thread(tmp_path: Path) -> None:
    app = Celers()
    app.client.config = configured(tmp_path)

    @app.task()
    def work(number: int) -> list[object]:
        return [number + 1, threading.current_thread() is threading.main_thread()]

    with WorkerThread(app):
        assert work.enqueue_sync(1).result_sync() == [2, False]
        again = work.enqueue_sync(2)
        assert again.result_sync() == [3, False]
    left = work.enqueue_sync(3)
    assert left.state_sync() is TaskState.PENDING
    app.close_sync()


def test_two_workers_in_threads_serve_their_own_queues(tmp_path: Path) -> None:
    app = Celers()
    app.client.config = configured(tmp_path)

    @app.task(queue="first")
    def one() -> str:
        return "one"

    @app.task(queue="second")
    async def two() -> str:
        return "two"

    with (
        WorkerThread(app, configured(tmp_path, queues=["first"])),
        WorkerThread(app, configured(tmp_path, queues=["second"])),
    ):
        assert one.enqueue_sync().result_sync() == "one"
        assert two.enqueue_sync().result_sync() == "two"
    app.close_sync()


def test_what_keeps_a_worker_from_starting_is_raised_where_it_was_started(tmp_path: Path) -> None:
    app = Celers()
    app.client.config = configured(tmp_path)

    @app.lifespan
    async def broken() -> Any:
        raise OSError("no cache")
        yield

    with pytest.raises(CelersError, match="no cache"):
        WorkerThread(app).start()
    app.close_sync()
