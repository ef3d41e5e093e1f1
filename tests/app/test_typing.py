"""What mypy says to an application: the arguments of enqueue are the handler's own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from uuid import UUID
from celers_worker import Celers, Context, EnqueuedTask, Options, backoff
from celers_worker.workflow import EnqueuedWorkflow, chain, chord, graph, group

app = Celers()


@app.task(queue="emails", backoff=backoff.exponential("2s"), timeout="30s")
async def send(user_id: int, *, subject: str = "hello") -> str:
    return f"{user_id} {subject}"


@app.task(max_retries=0)
def render(path: str) -> list[int]:
    return [len(path)]


@app.task(version=2, raises=(ValueError, KeyError), result_ttl="1h", codec="raw")
async def shrink(image: bytes) -> bytes:
    return image[:10]


@app.task()
async def greet(context: Context, user_id: int) -> None:
    print(context.attempt, context.task.id, user_id)


@app.task()
def sync_greet(context: Context, user_id: int) -> float:
    return user_id / context.attempt


@app.task()
async def fetch(context: Context, key: str, pool: list[int] = app.resource()) -> int:
    async with context.transaction() as session:
        await session.flush()
        context.complete(len(key))
    return len(pool)


emails = app.defaults(queue="emails", max_retries=3)


@emails.task(name="news", max_retries=0)
async def news(user_id: int) -> None: ...


async def right() -> None:
    task = await send.enqueue(1, subject="welcome")
    text: str = await task.result(timeout="10s")
    numbers: list[int] = render.enqueue_sync(path=text).result_sync()
    await greet.enqueue(user_id=len(numbers))
    number: float = (await sync_greet.with_(delay="10m").enqueue(1)).result_sync()
    later: EnqueuedTask[str] = await send.with_(priority=9).using(None).enqueue(user_id=int(number))
    task_id: UUID = later.id
    await app.enqueue_many(send.call(user_id=i) for i in range(10))
    await fetch.enqueue("a")
    await news.enqueue(user_id=1)
    async for ended in app.wait_for([later, task_id], timeout="1m"):
        print(ended.id, ended.state, ended.result())
    for state in [one.state for one in app.check_status_sync([str(task_id)]).values()]:
        print(state, await task.forget())
    await app.enqueue("by-name", options=Options(delay="1h"), anything=task_id.hex)
    steps = graph({"a": send.call(1), "b": render.step().depends_on("a")})
    await app.workflow(chain(send.call(1), group(render, render.step()), steps)).enqueue()
    whole: EnqueuedWorkflow[list[int]] = await app.workflow(chord(send.map([1]), render)).enqueue()
    numbers = await whole.result()
    due: str = (await send.enqueue_after("1m", 1)).result_sync()
    app.schedule("nightly", send, cron="@daily", arguments={"user_id": len(due)}, overlap="skip")


async def wrong() -> None:
    chain(7)  # E: arg-type
    await send.enqueue(user_id="x")  # E: arg-type
    await send.enqueue()  # E: call-arg
    await shrink.enqueue("text")  # E: arg-type
    await send.enqueue_after("1m", user_id="x")  # E: arg-type
    app.schedule("nightly", send, crn="@daily")  # E: call-arg
    app.schedule("nightly", send, cron=5)  # E: arg-type
    await send.enqueue(1, subjekt="x")  # E: call-arg
    send.enqueue_sync(user_id=None)  # E: arg-type
    await render.enqueue(path=1)  # E: arg-type
    await greet.enqueue(user_id="x")  # E: arg-type
    sync_greet.enqueue_sync(1.5)  # E: arg-type
    await send.with_(delay="10m").enqueue("x")  # E: arg-type
    send.with_(priority="high")  # E: arg-type
    send.call(user_id="x")  # E: arg-type
    number: int = await (await send.enqueue(1)).result()  # E: assignment
    words: str = sync_greet.enqueue_sync(1).result_sync()  # E: assignment
    app.task(runs="procces")  # E: arg-type
    Options(dealy="1h")  # E: call-arg
    await fetch.enqueue(key=1)  # E: arg-type
    await news.enqueue("x")  # E: arg-type
    app.defaults(que="emails")  # E: call-arg
    print(number, words)
"""


@pytest.mark.timeout(180)
def test_mypy_checks_the_arguments_and_results_of_tasks(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy comes with the group lint")
    program = tmp_path / "application.py"
    program.write_text(PROGRAM)
    options = ["--strict", "--no-pretty", "--config-file=", "--follow-imports=silent"]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    expected = {
        (number, match[1])
        for number, line in enumerate(PROGRAM.splitlines(), start=1)
        if (match := re.search(r"# E: ([a-z-]+)", line))
    }
    found = {
        (int(match[1]), match[2])
        for match in re.finditer(r"application\.py:(\d+): error: .*\[([a-z-]+)\]", checked.stdout)
    }
    assert found == expected, checked.stdout + checked.stderr
