"""Handlers in processes of their own, run by a whole worker in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from celers_worker import Celers, TaskFailed, testing
from celers_worker.core.events import ChildEnded, Events
from celers_worker.core.outcome import Cancelled, Release, Retry
from celers_worker.store import inspect, make_direct_store
from celers_worker.store.progress import progress_of
from celers_worker.worker import Worker
from tests.child import handlers
from tests.waiting import eventually


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Celers]:
    handlers.app.client.config = testing.config(tmp_path)
    yield handlers.app
    await handlers.app.close()


def configure(app: Celers, **executor: Any) -> None:
    config = app.client.config
    settings = msgspec.structs.replace(config.executor, **executor)
    app.client.config = msgspec.structs.replace(config, executor=settings)


async def failure_of(task: Any) -> TaskFailed:
    with pytest.raises(TaskFailed) as caught:
        await task.result(timeout=1)
    return caught.value


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


async def test_arguments_and_results_travel_as_the_annotations_say(app: Celers) -> None:
    key = "6f1c8e9c-0f5f-4d5c-8d41-5d6c2ad2cf11"
    task = await handlers.mirrored.enqueue(handlers.Point(1, 2), key)
    raw = await handlers.reversed_bytes.enqueue(b"abc")
    coroutine = await handlers.slept.enqueue(0.01)

    await testing.drain(app)

    assert await task.result() == handlers.Point(2, 1)
    assert await raw.result() == b"cba"
    assert await coroutine.result() == "slept"


async def test_processes_are_kept_until_they_have_run_enough(app: Celers) -> None:
    configure(app, processes=1, max_tasks=2)
    tasks = [await handlers.pid.enqueue() for _ in range(4)]

    await testing.drain(app)

    first, second, third, fourth = [await task.result() for task in tasks]
    assert first == second
    assert third == fourth
    assert len({first, third, os.getpid()}) == 3


async def test_a_process_that_has_grown_is_replaced(app: Celers) -> None:
    configure(app, processes=1, max_memory=1 << 20)
    tasks = [await handlers.pid.enqueue() for _ in range(2)]

    await testing.drain(app)

    assert len({await task.result() for task in tasks}) == 2


async def test_exceptions_and_verdicts_travel_with_the_policy_of_the_handler(app: Celers) -> None:
    declared = await handlers.prints.enqueue()
    final = await handlers.never_again.enqueue()
    steering = {how: await handlers.steers.enqueue(how) for how in ("snooze", "cancel", "retry")}

    run = await testing.drain(app)

    with pytest.raises(handlers.OutOfInk) as caught:
        await declared.result()
    assert caught.value.left == 3
    error = await failure_of(final)
    assert error.type == "tests.child.handlers.OutOfInk"
    assert "never_again" in (error.traceback or "")
    outcomes = {one.task.id: one.outcome for one in run.settlements}
    assert outcomes[steering["snooze"].id] == Release(timedelta(hours=1), "snoozed")
    assert outcomes[steering["cancel"].id] == Cancelled("no need")
    retry = outcomes[steering["retry"].id]
    assert isinstance(retry, Retry)
    assert retry.delay == timedelta(hours=2)


async def test_one_that_crashes_fails_its_own_task_only_and_says_how(app: Celers) -> None:
    ends = {
        "kill": "its process ended: SIGKILL; the kernel kills so when memory runs out",
        "segfault": "its process ended: SIGSEGV",
        "exit": "its process ended: status 3",
        "exit 0": "its process ended: status 0",
        "sys.exit": "5",
    }
    dying = {how: await handlers.ends.enqueue(how) for how in ends}
    others = [await handlers.slept.enqueue(0.2) for _ in range(4)]

    run = await testing.drain(app)

    assert {how: (await failure_of(task)).message for how, task in dying.items()} == ends
    assert [await task.result() for task in others] == ["slept"] * 4
    assert len(run.dead) == len(ends)


async def test_at_its_timeout_it_is_killed_with_all_that_it_has_started(
    app: Celers, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    task = await handlers.deaf.enqueue(str(file))

    await testing.drain(app)

    error = await failure_of(task)
    assert error.type == "TimeoutError"
    assert error.message == "ran longer than its timeout of 300ms"
    assert not any(lives(int(pid)) for pid in file.read_text().split())


async def test_more_memory_than_it_may_have_is_refused_to_it(app: Celers) -> None:
    little = await handlers.greedy.enqueue(10)
    much = await handlers.greedy.enqueue(1_000)
    elsewhere = await handlers.greedy_by_its_child.enqueue()

    await testing.drain(app)

    assert await little.result() == 10_000_000
    for task, bound in ((much, "256MB"), (elsewhere, "128MB")):
        error = await failure_of(task)
        assert error.type == "MemoryError"
        assert error.message == f"the run used more than its memory of {bound}"


async def test_its_environment_holds_no_credentials(
    app: Celers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CELERS_DATABASE_URL", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, f"the value of {name}")
    configure(app, environment=("AWS_REGION",))
    task = await handlers.environment.enqueue()

    await testing.drain(app)

    seen = await task.result()
    assert seen["AWS_REGION"] == "the value of AWS_REGION"
    assert "PATH" in seen
    assert [name for name in seen if "the value of" in seen[name]] == ["AWS_REGION"]


async def test_what_it_enqueues_goes_through_the_worker(app: Celers) -> None:
    tasks = [await handlers.enqueues.enqueue(), await handlers.enqueues_async.enqueue()]
    refused = await handlers.enqueues_by_itself.enqueue()

    run = await testing.drain(app)

    assert run.completed.count("beside") == 3
    added = [task_id for task in tasks for task_id in await task.result()]
    assert [await app.result(task_id) for task_id in added] == [1, 2, 3]
    assert "enqueue with context.enqueue" in str((await failure_of(refused)).message)


async def test_what_only_the_worker_has_is_refused_clearly(app: Celers) -> None:
    tasks = {
        what: await handlers.asks_for.enqueue(what)
        for what in ("transaction", "transaction_sync", "resources")
    }

    await testing.drain(app)

    for what, task in tasks.items():
        message = str((await failure_of(task)).message)
        assert message.startswith(f"context.{what}")
        assert 'runs="thread"' in message


async def test_progress_and_logs_reach_people_while_it_runs(
    app: Celers, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "go"
    task = await handlers.tells.enqueue(str(file))
    with make_direct_store(app.client.config.database.url) as direct:
        async with Worker(app, app.client.config) as worker:
            progress = await eventually(lambda: direct.run(progress_of, task.id), within=60)
            file.touch()
            assert await task.result(timeout=30) == (1, "default", str(task.id))
            worker.stop()
    assert str(progress.progress) == "1/4 (25%) a quarter"
    output = capfd.readouterr().err
    assert "it says" in output
    assert str(task.id) in output
    assert "so does a library" in output


async def test_a_cancelled_one_may_clean_up_and_a_stubborn_one_is_killed(
    app: Celers, tmp_path: Path
) -> None:
    files = [tmp_path / "waits", tmp_path / "stubborn"]
    tasks = [
        await handlers.waits.enqueue(str(files[0])),
        await handlers.stubborn.enqueue(str(files[1])),
    ]
    config = app.client.config
    worker = msgspec.structs.replace(
        config.worker,
        cancel_grace=timedelta(seconds=1),
        heartbeat_interval=timedelta(milliseconds=200),
    )
    async with Worker(app, msgspec.structs.replace(config, worker=worker)):
        await eventually(
            lambda: all(file.exists() and file.read_text() for file in files), within=60
        )
        stubborn = int(files[1].read_text())
        for task in tasks:
            await task.cancel()
        for task in tasks:
            assert "cancelled" in str((await failure_of_late(task)).state)
    assert files[0].read_text() == "cleaned up"
    assert not lives(stubborn)


async def failure_of_late(task: Any) -> TaskFailed:
    with pytest.raises(TaskFailed) as caught:
        await task.result(timeout=30)
    return caught.value


async def test_a_soft_timeout_is_told_to_it(app: Celers) -> None:
    task = await handlers.looks.enqueue()
    await testing.drain(app)
    assert await task.result() == "stopped by itself"


async def test_a_worker_that_stops_gives_back_what_runs_and_what_waits(
    app: Celers, tmp_path: Path
) -> None:
    configure(app, processes=1)
    file = tmp_path / "pid"
    config = app.client.config
    settings = msgspec.structs.replace(
        config.worker, grace=timedelta(0), cancel_grace=timedelta(seconds=1)
    )
    first = await handlers.stubborn.enqueue(str(file))
    second = await handlers.slept.enqueue(0)
    worker = Worker(app, msgspec.structs.replace(config, worker=settings))
    async with worker:
        pid = int(await eventually(lambda: file.exists() and file.read_text(), within=60))
        worker.stop()
        ending = await worker.ended()
    assert (ending.released, ending.abandoned) == (2, 0)
    assert not lives(pid)
    with make_direct_store(config.database.url) as direct:
        for task in (first, second):
            view = direct.run(inspect.task, task.id)
            assert view is not None
            assert (view.state, view.retry_count, view.crash_count) == ("pending", 0, 0)


SPOILT = [how for how in handlers.SPOILING if how != "nothing"]


async def test_a_process_that_a_run_has_changed_is_replaced(app: Celers) -> None:
    configure(app, processes=1)
    events = Events()
    ends: list[ChildEnded] = []
    events.listen(ChildEnded, ends.append)
    tasks = [
        await handlers.spoils.enqueue(how)
        for spoilt in SPOILT
        for how in (spoilt, "nothing", "nothing")
    ]

    await Worker(app, app.client.config, until="drain", events=events).run()

    pids = [await task.result() for task in tasks]
    for place, how in enumerate(SPOILT):
        changed, clean, again = pids[3 * place : 3 * place + 3]
        assert changed != clean, how
        if how != "fork":  # whose other end may come while the next one runs
            assert clean == again, how
    assert any("its umask" in end.why for end in ends)
    await eventually(lambda: not any(map(lives, pids)))


async def test_a_handler_that_no_process_would_find_keeps_the_worker_from_starting(
    tmp_path: Path,
) -> None:
    app = Celers()
    app.client.config = testing.config(tmp_path)

    @app.task(runs="process")
    def hidden() -> None: ...

    with pytest.raises(Exception, match="Declare it there at the top level"):
        await testing.drain(app)
    await asyncio.shield(app.close())
