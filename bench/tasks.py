"""The application of the benchmarks; its worker is ``celers worker -A bench.tasks:app``."""

from __future__ import annotations

import time

from celers_worker import Celers
from celers_worker.config import load_config

app = Celers()


@app.task()
async def nothing(number: int) -> None:
    """Cost nothing, so that what is measured is the queue."""


@app.task()
async def started() -> float:
    """Return when this started, by the clock that all processes of a machine share."""
    return time.monotonic()


def use(url: str) -> None:
    """Let ``app`` enqueue into the database at *url*, with the default settings otherwise."""
    app.client.config = load_config(flags={"database.url": url}).config
