"""Whether several processes on one SQLite file complain while somebody enqueues."""

from __future__ import annotations

import asyncio
import time

from bench import worker
from bench.database import NewDatabase
from bench.figures import Figures
from bench.passage import enqueue, plain, span
from bench.tasks import app, nothing, use

PROCESSES = 4
#: Tasks that are added at once while the workers run.
CHUNK = 500
PATIENCE = 300.0


def contention(new_database: NewDatabase, tasks: int) -> Figures:
    """Run four worker processes and enqueue meanwhile; each line of their log is a complaint."""
    with new_database() as database:
        if not database.url.startswith("sqlite"):
            return {}
        half = tasks // 2
        enqueue(database.url, plain(half))
        with worker.worker(database.url, "--processes", str(PROCESSES)) as process:
            use(database.url)
            asyncio.run(_add(tasks - half))
            _await(database.url, tasks)
            process.stop()
            process.cost()
            complaints = len(process.log_lines)
        _, seconds = span(database.url)
    return {
        f"drain by {PROCESSES} processes, while others enqueue": tasks / seconds,
        "contention, lines in the log": complaints,
    }


async def _add(tasks: int) -> None:
    for start in range(0, tasks, CHUNK):
        await app.enqueue_many(nothing.call(number=number) for number in range(CHUNK))
        await nothing.enqueue(number=start)
    await app.close()


def _await(url: str, tasks: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while (done := span(url)[0]) < tasks:
        if time.monotonic() > deadline:
            raise worker.WorkerFailed(f"{done:,} of {tasks:,} tasks completed.")
        time.sleep(0.1)
