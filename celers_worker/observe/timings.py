"""How long tasks waited and ran, and how large their results are: counted for every task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from prometheus_client import CollectorRegistry

from celers_worker.core.events import TaskEnded
from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import Task
from celers_worker.observe.histograms import Histogram, Series
from celers_worker.observe.names import CAP, Names

#: CeleRS's buckets, in seconds, tasks or bytes.
LATENCIES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_RUNS = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
_WAITS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600)
_AGES = (1, 5, 10, 30, 60, 300, 600, 1_800, 3_600)
_BYTES = (1e2, 1e3, 1e4, 1e5, 1e6, 1e7)


class Timings:
    """Histograms by queue and by the name of the task."""

    def __init__(self, registry: CollectorRegistry, *, queues: Names, names: Names) -> None:
        self._runs = Histogram(
            "celers_task_execution_seconds",
            "How long handlers ran.",
            label="queue",
            bounds=_RUNS,
            registry=registry,
        )
        by_type = Histogram(
            "celers_task_execution_by_type_seconds",
            "How long handlers ran, by the task's name.",
            label="task_name",
            bounds=_RUNS,
            registry=registry,
        )
        waits = Histogram(
            "celers_task_queue_wait_time_seconds",
            "From due to claimed.",
            label="queue",
            bounds=_WAITS,
            registry=registry,
        )
        ages = Histogram(
            "celers_task_age_seconds",
            "From enqueued to claimed, with the time before it was due.",
            label="queue",
            bounds=_AGES,
            registry=registry,
        )
        self._bytes = Histogram(
            "celers_task_result_size_bytes",
            "The size of the results that were written.",
            bounds=_BYTES,
            registry=registry,
        )
        # To find a series costs as much as to count in it.
        self._runs_in = lru_cache(CAP)(lambda queue: self._runs.labels(queues.label(queue)).observe)
        self._runs_of = lru_cache(CAP)(lambda name: by_type.labels(names.label(name)).observe)
        self._claims_in = lru_cache(CAP)(
            lambda queue: (
                waits.labels(queues.label(queue)).observe,
                ages.labels(queues.label(queue)).observe,
            )
        )

    def runs_by_queue(self) -> Iterable[tuple[str, Series]]:
        """What was counted of each queue."""
        return self._runs.all()

    def claimed(self, tasks: Sequence[Task]) -> None:
        """Count how long *tasks* have waited."""
        for task in tasks:
            wait, age = self._claims_in(task.queue)
            wait(max(task.waited, 0.0))
            age(max(task.age, 0.0))

    def ended(self, event: TaskEnded) -> None:
        """Count how long a run took."""
        task = event.settlement.task
        self._runs_in(task.queue)(event.seconds)
        self._runs_of(task.name)(event.seconds)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Count how large results are."""
        for settlement in settlements:
            outcome = settlement.outcome
            if type(outcome) is Completed and outcome.result is not None:
                self._bytes.observe(len(outcome.result))
