"""A program that enqueues, and notes what it tried and what was answered: it may be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

from celers_worker.core.errors import StoreError
from celers_worker.store import StoreOptions, make_store
from tests.faults import handlers
from tests.faults.crash_points import note

OPTIONS = StoreOptions(call_timeout=timedelta(seconds=3), connect_timeout=timedelta(seconds=2))


async def main(batches: int, size: int, pause: float) -> None:
    """Enqueue so many batches of so many tasks."""
    store = make_store(os.environ["CELERS_DATABASE_URL"], OPTIONS)
    for _ in range(batches):
        tasks = [handlers.work.call().task for _ in range(size)]
        ids = " ".join(str(task.id) for task in tasks)
        note(f"sent {ids}")
        try:
            await store.enqueue(tasks)
        except StoreError:
            await asyncio.sleep(0.1)  # whether they were added, nobody knows
        else:
            note(f"acknowledged {ids}")
        await asyncio.sleep(pause)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
