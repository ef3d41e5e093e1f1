"""The application: each run notes when it began and how it ended, and returns its lease.

So the result says which run has settled the task, whatever the database thinks. None runs in a
thread: a worker that is told to hurry gives such a task back while its thread still ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celers_worker.app import Celers
from celers_worker.core import backoff
from celers_worker.core.context import Context
from celers_worker.selftest.notes import note

QUEUE = "celers-selftest"
#: More than any run needs: a task that was unlucky must not be buried for it.
PATIENT = 100
_SOON = backoff.fixed("50ms")

app = Celers()


@contextmanager
def noted(context: Context) -> Iterator[None]:
    """Note the begin and the end of a run; ``cut`` if it did not come to its own end."""
    who = f"{context.task.id} {context.task.lease} {context.attempt} {os.getpid()}"
    note(f"start {who} {time.monotonic_ns()}")
    how = "cut"
    try:
        yield
        how = "end"
    except Exception:
        how = "failed"
        raise
    finally:
        note(f"{how} {who} {time.monotonic_ns()}")


@app.task(name="celers.selftest.work", queue=QUEUE, backoff=_SOON, max_retries=PATIENT)
async def work(context: Context, seconds: float = 0.0) -> int:
    """Wait, as for another service."""
    with noted(context):
        await asyncio.sleep(seconds)
        return context.task.lease


@app.task(name="celers.selftest.stumble", queue=QUEUE, backoff=_SOON, max_retries=PATIENT)
async def stumble(context: Context, times: int) -> int:
    """Fail so often, then complete."""
    with noted(context):
        if context.task.retry_count < times:
            raise ValueError(f"stumbled for the {context.task.retry_count + 1}. time")
        return context.task.lease


@app.task(name="celers.selftest.perish", queue=QUEUE, backoff=_SOON, max_retries=PATIENT)
async def perish(context: Context) -> int:
    """Kill the worker, once."""
    with noted(context):
        if context.task.crash_count == 0:
            note(f"death {os.getpid()} {time.monotonic_ns()}")
            os.kill(os.getpid(), signal.SIGKILL)
        return context.task.lease


@app.task(name="celers.selftest.block", queue=QUEUE, backoff=_SOON, max_retries=PATIENT)
async def block(context: Context, seconds: float) -> int:
    """Keep the event loop from everything else."""
    with noted(context):
        time.sleep(seconds)  # noqa: ASYNC251 - this is what it is for
        return context.task.lease
