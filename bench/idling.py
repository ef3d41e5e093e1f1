"""What a worker costs that has nothing to do."""

from __future__ import annotations

import time

from bench import worker
from bench.database import NewDatabase
from bench.figures import Figures

#: Seconds until a new worker has settled down, and for which it is looked at.
SETTLING, SPAN = 3.0, 20.0


def idle(new_database: NewDatabase, tasks: int) -> Figures:
    """Look at an idle worker for a while: its CPU time, and the statements that it sends."""
    with (
        new_database() as database,
        database.statements() as statements,
        worker.worker(database.url) as process,
    ):
        process.await_ready()
        time.sleep(SETTLING)
        before = process.cpu_seconds, database.cpu_seconds, statements() if statements else 0
        time.sleep(SPAN)
        sent = statements() - before[2] if statements else None
        figures = {
            "idle, worker CPU": (process.cpu_seconds - before[0]) / SPAN * 100,
            "idle, server CPU": (database.cpu_seconds - before[1]) / SPAN * 100,
        }
        process.stop()
        process.cost()
    return figures if sent is None else {**figures, "idle, statements": sent / SPAN}
