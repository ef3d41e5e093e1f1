"""The application of the dashboard's picture: tasks that take their time, and fail now and then."""

from __future__ import annotations

import asyncio
import random

from celers_worker import Celers, backoff

app = Celers()


@app.task(queue="emails", backoff=backoff.fixed("2s"))
async def send(wave: float) -> None:
    """Fail the more often, the more there is to do."""
    await asyncio.sleep(random.uniform(0.01, 0.08))
    if random.random() < 0.02 + 0.05 * wave:
        raise ConnectionError("the mail server does not answer")


@app.task(queue="reports", concurrency=8, max_retries=0)
async def render() -> None:
    """Take its time, and fail now and then for good."""
    await asyncio.sleep(random.lognormvariate(-1.0, 0.5))
    if random.random() < 0.01:
        raise ValueError("no such customer")
