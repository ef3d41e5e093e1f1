"""How fast workers run what waits."""

from __future__ import annotations

from typing import Any

from celers_worker.app.declared import DeclaredTask
from celers_worker.benchmark.figures import RATE, Figure
from celers_worker.benchmark.process import await_ends, worker_processes
from celers_worker.benchmark.run import Run
from celers_worker.benchmark.tasks import nothing
from celers_worker.store import footprint

PROCESSES = 2
#: What a worker gets at least, in seconds: on a busy machine its first claim takes a moment.
LEAST = 1.0
#: A second process that gains less is not worth its memory.
WORTH = 1.2


def drain(run: Run) -> list[Figure]:
    """Tasks that do nothing, with the configured concurrency: by one process, and by two."""
    one = drained(run, nothing, count=run.limits.tasks, seconds=run.limits.seconds)
    two = drained(
        run,
        nothing,
        count=run.limits.tasks,
        seconds=run.limits.seconds,
        processes=PROCESSES,
    )
    figures = []
    if one is not None:
        permits = run.config().worker.concurrency
        hint = f"the queue alone: handlers that do nothing, concurrency {permits}"
        figures.append(Figure("drain, 1 process", one, RATE, hint))
    if two is not None:
        hint = "" if one is None else _gain(two / one)
        figures.append(Figure(f"drain, {PROCESSES} processes", two, RATE, hint))
    return figures


def drained(
    run: Run,
    task: DeclaredTask[[], Any],
    *,
    count: int,
    seconds: float,
    concurrency: int | None = None,
    processes: int = 1,
) -> float | None:
    """Tasks a second while all the *processes* worked; None: they never did at the same time.

    They drain *count* tasks, or what could be added in *seconds*, for about so long at most.
    """
    run.fill(task, count, seconds)
    with worker_processes(run.config(concurrency), "drain", processes) as started:
        await_ends(started, max(seconds, LEAST))
    rate = _rate(run, processes)
    run.empty()
    return rate


def _gain(factor: float) -> str:
    told = f"{factor:.1f} times one process"
    if factor < WORTH:
        return f"{told}: this machine or the database has no more to give"
    return f"{told}: try celers worker --processes {PROCESSES}"


def _rate(run: Run, processes: int) -> float | None:
    """By the database's own record, from the last one's first claim to the first one's last settle.

    So neither their starts count nor the time when only one of them had work.
    """
    shares = run.store.run(footprint.shares, run.footprint)
    if len(shares) < processes:
        return None
    since = max(share.began for share in shares)
    until = min(share.ended for share in shares)
    if since >= until:
        return None
    done = run.store.run(footprint.completed, run.footprint, since, until)
    return done / (until - since).total_seconds()
