"""How fast one worker process, with default settings, runs tasks that wait."""

from __future__ import annotations

from bench.database import NewDatabase
from bench.figures import Figures
from bench.passage import pass_through


def drain(new_database: NewDatabase, tasks: int) -> Figures:
    """Let *tasks* that do nothing wait, then run a worker until nothing is due."""
    with new_database() as database:
        passage = pass_through(database, tasks)
    figures = {
        "drain": passage.rate,
        "drain, whole life": tasks / passage.whole.worker.wall_seconds,
        "worker start and stop": passage.idle.worker.wall_seconds,
        "worker CPU per task": passage.worker_cpu,
        "server CPU per task": passage.server_cpu,
        "worker memory, peak": passage.whole.worker.peak_bytes / 2**20,
        "worker memory, idle": passage.idle.worker.peak_bytes / 2**20,
    }
    if passage.written is not None:
        figures["WAL"] = passage.written
    return figures
