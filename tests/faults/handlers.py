"""The application of the fault suite. What runs is noted in a file that survives a kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text

from celers_worker import Celers, Context, backoff
from tests.faults.crash_points import note

QUEUE = "faults"
app = Celers()
_SOON = backoff.fixed("50ms")


@contextlib.contextmanager
def noted(context: Context) -> Iterator[None]:
    """Note the begin and the end of a run; ``cut`` if it did not come to its own end in time."""
    task = context.task
    who = f"{task.id} {task.lease} {context.attempt} {os.getpid()}"
    note(f"start {who} {time.monotonic_ns()}")
    how = "cut"
    try:
        yield
        how = "cut" if context.stopped else "end"
    except Exception:
        how = "failed"
        raise
    finally:
        note(f"{how} {who} {time.monotonic_ns()}")


@app.task(queue=QUEUE, backoff=_SOON, max_retries=100)
async def work(context: Context, seconds: float = 0.0) -> None:
    with noted(context):
        await asyncio.sleep(seconds)


@app.task(queue=QUEUE, backoff=_SOON, max_retries=100)
async def stumble(context: Context, times: int) -> int:
    """Fail so often, then return the number of the attempt."""
    with noted(context):
        if context.task.retry_count < times:
            raise ValueError(f"stumbled over {context.task.retry_count + 1}")
        return context.attempt


@app.task(queue=QUEUE, backoff=_SOON, max_retries=100, concurrency=2)
async def narrow(context: Context, seconds: float) -> None:
    """Two of these run at once in a worker, no more."""
    with noted(context):
        await asyncio.sleep(seconds)


@app.task(queue=QUEUE, backoff=_SOON, max_retries=100)
async def pay(context: Context) -> None:
    """Write something in the transaction that settles the task: once, whatever happens."""
    with noted(context):
        async with context.transaction() as session:
            await session.execute(
                text("INSERT INTO faults_effects (task_id, lease) VALUES (:task, :lease)"),
                {"task": str(context.task.id), "lease": context.task.lease},
            )


@app.task(queue=QUEUE, backoff=_SOON, max_retries=100)
async def gated(context: Context, path: str) -> None:
    """Wait for a file, and do what it says: ``go``, or ``fail``."""
    with noted(context):
        gate = Path(path)
        while not gate.exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)
        if gate.read_text() == "fail":  # noqa: ASYNC240
            raise ValueError("as the gate says")


@app.task(queue=QUEUE, backoff=_SOON, max_retries=100)
def in_thread(context: Context, seconds: float) -> None:
    with noted(context):
        time.sleep(seconds)


@app.task(queue="faults.look", max_retries=0)
async def look_at_yourself() -> dict[str, Any]:
    """What this process holds: what grows without end is a leak."""
    pages = int(open("/proc/self/statm").read().split()[1])  # noqa: ASYNC230, SIM115
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "memory": pages * resource.getpagesize(),
    }
