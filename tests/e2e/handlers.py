"""The application of the end-to-end tests. What runs is written to a file that survives a kill."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text

from celers_worker import Celers, Context, backoff
from celers_worker.circuit import circuit

app = Celers()
_SOON = backoff.fixed("50ms")


def note(what: str, context: Context) -> None:
    """Append a line at once: the next instruction may be the process's last."""
    line = f"{what} {context.task.id} {context.attempt} {os.getpid()} {time.monotonic_ns()}\n"
    file = os.open(os.environ["CELERS_E2E_HISTORY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


@contextlib.contextmanager
def noted(context: Context) -> Iterator[None]:
    note("start", context)
    try:
        yield
    finally:
        note("end", context)


@app.task(backoff=_SOON)
async def work(context: Context, seconds: float) -> int:
    with noted(context):
        await asyncio.sleep(seconds)
    return context.attempt


@app.task(queue="narrow", backoff=_SOON)
async def narrow(context: Context, seconds: float) -> None:
    with noted(context):
        await asyncio.sleep(seconds)


@app.task(queue="many", concurrency=3, backoff=_SOON)
async def limited(context: Context, seconds: float) -> None:
    with noted(context):
        await asyncio.sleep(seconds)


@app.task(backoff=_SOON)
def in_thread(context: Context, seconds: float) -> None:
    with noted(context):
        time.sleep(seconds)


@app.task(backoff=_SOON)
async def third_time_lucky(context: Context) -> str:
    if context.attempt < 3:
        raise ValueError("not yet")
    return f"done by {os.getpid()}"


@app.task(max_retries=50)
async def poison(context: Context) -> None:
    note("start", context)
    os.kill(os.getpid(), signal.SIGKILL)


async def _write(context: Context, session: Any) -> None:
    name = f"effect of {context.task.id} at {context.attempt}"
    statement = text("INSERT INTO celers_queues (name) VALUES (:name)")
    await session.execute(statement, {"name": name})


@app.task(backoff=_SOON)
async def killed_before_its_commit(context: Context) -> None:
    note("start", context)
    async with context.transaction() as session:
        await _write(context, session)
        if context.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)


@app.task(backoff=_SOON)
async def killed_after_its_commit(context: Context) -> None:
    note("start", context)
    async with context.transaction() as session:
        await _write(context, session)
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(max_retries=0)
async def wait_for_file(context: Context, path: str) -> str:
    with noted(context):
        gate = Path(path)
        # A file is what another process can make; nothing tells of it.
        while not gate.exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    return "found"


@app.task(backoff=_SOON)
async def part(context: Context, number: int, seconds: float) -> int:
    with noted(context):
        await asyncio.sleep(seconds)
    return number


@app.task(backoff=_SOON)
async def collect(context: Context, numbers: list[int]) -> int:
    with noted(context):
        return sum(numbers)


@app.task(circuit=circuit(3, rest="500ms"), max_retries=50, backoff=_SOON)
def guarded(path: str) -> None:
    """Calls a service that is up once a file is there."""
    if not Path(path).exists():
        raise ConnectionError(f"no answer from {path}")
