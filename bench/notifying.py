"""What NOTIFY costs those who enqueue."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bench import worker
from bench.database import NewDatabase
from bench.enqueueing import CLIENTS, add_singly
from bench.figures import Figures
from bench.tasks import nothing, use

#: Not due yet, so nobody is told; the statement is the same.
_UNANNOUNCED = nothing.with_(delay=timedelta(days=1))


def notify(new_database: NewDatabase, tasks: int) -> Figures:
    """Add single tasks with and without telling, to nobody and to a worker of another queue.

    That one is woken and looks, but runs nothing: else it would be measured too.
    """
    figures: dict[str, float] = {}
    for clients in (1, CLIENTS):
        with new_database() as database:
            if not database.url.startswith("postgresql"):
                return {}
            use(database.url)
            silent = asyncio.run(add_singly(clients, _UNANNOUNCED))
            told = asyncio.run(add_singly(clients))
            with worker.worker(database.url, "--queue", "another") as process:
                process.await_ready()
                heard = asyncio.run(add_singly(clients))
                process.stop()
                process.cost()
        name = f"enqueue, {clients} at a time" if clients > 1 else "enqueue"
        figures |= {
            f"{name}, unannounced": silent,
            f"{name}, announced to nobody, ratio": told / silent,
            f"{name}, announced to a worker, ratio": heard / silent,
        }
    return figures
