"""The application to measure with: its handlers cost nothing, so that the queue is measured."""

from __future__ import annotations

import asyncio
import time

from celers_worker.app import Celers

#: How long ``wait`` waits, in seconds: a quick call of another service.
WAIT = 0.005

app = Celers()


@app.task(name="celers.bench.nothing")
async def nothing() -> None:
    """Do nothing."""


@app.task(name="celers.bench.wait")
async def wait() -> None:
    """Leave the processor to others for a while."""
    await asyncio.sleep(WAIT)


@app.task(name="celers.bench.start")
async def start() -> float:
    """Return when this started, by the clock that all processes of a machine share."""
    return time.monotonic()
