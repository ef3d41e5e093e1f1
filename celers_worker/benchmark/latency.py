"""How soon an idle worker starts a task."""

from __future__ import annotations

import asyncio
import random
import time
from uuid import UUID

from celers_worker.benchmark.figures import MILLISECONDS, Figure, percentiles
from celers_worker.benchmark.process import WorkerFailed, WorkerProcess, worker_processes
from celers_worker.benchmark.run import Run
from celers_worker.benchmark.tasks import start
from celers_worker.store import footprint

#: Seconds between two tasks: the worker is idle again, and never in step with us.
GAPS = (0.01, 0.05)
#: Too few for percentiles below; the first ones warm up, and are not counted.
LEAST, _WARM_UP = 20, 3
#: Seconds for the last ones to be settled.
_SETTLED_WITHIN = 15.0


def latency(run: Run) -> list[Figure]:
    """Enqueue single tasks into an idle worker, with random gaps.

    From the call of ``enqueue``, which includes the producer's commit, and from its return.
    """
    with worker_processes(run.config(), "forever", 1) as [process]:
        sent = run.enqueueing(lambda: _send(run, process))
        began = _await_starts(run, process, sent)
        process.await_end(0)
    run.empty()
    called = [began[task_id] - call for task_id, (call, _) in sent.items() if task_id in began]
    # A worker can be quicker than the answer to the producer, and then nobody has waited.
    returned = [
        max(began[task_id] - back, 0) for task_id, (_, back) in sent.items() if task_id in began
    ]
    return [
        *_figures("latency from commit", returned, "enqueue's return until the handler starts"),
        *_figures("latency from call", called, "the same with the producer's commit"),
    ]


async def _send(run: Run, process: WorkerProcess) -> dict[UUID, tuple[float, float]]:
    """When each task's enqueue was called and when it returned."""
    one = start.with_(queue=run.queue)
    for _ in range(_WARM_UP):
        await one.enqueue()
    sent: dict[UUID, tuple[float, float]] = {}
    end = time.monotonic() + run.limits.seconds
    while len(sent) < LEAST or time.monotonic() < end:
        await asyncio.sleep(random.uniform(*GAPS))
        process.check()
        call = time.monotonic()
        task = await one.enqueue()
        sent[task.id] = (call, time.monotonic())
    return sent


def _await_starts(
    run: Run, process: WorkerProcess, sent: dict[UUID, tuple[float, float]]
) -> dict[UUID, float]:
    """When each task started, by its own result; a few may be missing if others interfered."""
    deadline = time.monotonic() + _SETTLED_WITHIN
    while True:
        began = run.store.run(footprint.values_of, sent)
        if len(began) == len(sent):
            return began
        process.check()
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    if len(began) < LEAST:
        raise WorkerFailed(
            f"only {len(began)} of {len(sent)} tasks were run within {_SETTLED_WITHIN:g} s: does "
            "another worker serve every queue? See: celers workers list"
        )
    return began


def _figures(name: str, seconds: list[float], hint: str) -> list[Figure]:
    return [
        Figure(f"{name}, {percent}", value, MILLISECONDS, hint if percent == "p50" else "")
        for percent, value in zip(("p50", "p95", "p99"), percentiles(seconds), strict=True)
    ]
