"""Gauges of what waits in the database and who works on it, as the surveyor counted it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge

from celers_worker.core.events import QueuesCounted
from celers_worker.core.scaling import MeanTimes, desired_workers, drain_seconds
from celers_worker.observe.names import Names

_BY_QUEUE = {
    "celers_queue_size": "Tasks that are due.",
    "celers_processing_queue_size": "Tasks that are being run.",
    "celers_oldest_pending_seconds": "Age of the oldest task that is due.",
    "celers_delayed_tasks_scheduled": "Tasks that are not due yet, retries among them.",
    "celers_blocked_tasks": "Tasks that wait for others.",
    "celers_queue_drain_seconds": "How long all workers together take for what is due.",
}
_PLAIN = {
    "celers_dlq_size": "Tasks in the dead letter queue.",
    "celers_active_workers": "Workers with a live lease.",
    "celers_busy_workers": "Workers that run tasks.",
    "celers_idle_workers": "Workers that run none.",
}
_DESIRED = (
    "celers_desired_workers",
    "Workers that would do what is due within [metrics] drain_target.",
)


class BacklogGauges:
    """Shows what was counted last."""

    def __init__(
        self,
        registry: CollectorRegistry,
        queues: Names,
        times: MeanTimes,
        *,
        drain_target: float,
    ) -> None:
        self._registry = registry
        self._queues = queues
        self._times = times
        self._target = drain_target
        self._gauges: dict[str, Gauge] = {}

    def show(self, counted: QueuesCounted) -> None:
        """Set every gauge, and forget the queues that are gone."""
        if not self._gauges:
            # When they are first counted: who does not count the queues has no zeros to tell.
            self._gauges = {
                name: Gauge(name, words, ["queue"], registry=self._registry)
                for name, words in _BY_QUEUE.items()
            } | {
                name: Gauge(name, words, registry=self._registry) for name, words in _PLAIN.items()
            }
        drains = drain_seconds(counted.pending, self._times, room=counted.room)
        self._replace("celers_queue_size", counted.pending, sum)
        self._replace("celers_processing_queue_size", counted.processing, sum)
        self._replace("celers_oldest_pending_seconds", counted.oldest_pending, max)
        self._replace("celers_delayed_tasks_scheduled", counted.scheduled, sum)
        self._replace("celers_blocked_tasks", counted.blocked, sum)
        self._replace("celers_queue_drain_seconds", drains, sum)
        self._gauges["celers_dlq_size"].set(counted.dead)
        self._gauges["celers_active_workers"].set(counted.workers)
        self._gauges["celers_busy_workers"].set(counted.busy)
        self._gauges["celers_idle_workers"].set(counted.workers - counted.busy)
        self._show_desired(counted)

    def _show_desired(self, counted: QueuesCounted) -> None:
        desired = desired_workers(
            counted.pending,
            self._times,
            processing=sum(counted.processing.values()),
            per_worker=round(counted.room / counted.workers) if counted.workers else 1,
            target=self._target,
        )
        name, words = _DESIRED
        if desired is None:  # no number is better than a wrong one
            return
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, words, registry=self._registry)
        self._gauges[name].set(desired)

    def _replace(
        self,
        name: str,
        values: Mapping[str, float],
        together: Callable[[Iterable[float]], float],
    ) -> None:
        found: defaultdict[str, list[float]] = defaultdict(list)
        for queue, value in values.items():
            found[self._queues.label(queue)].append(value)
        gauge = self._gauges[name]
        gauge.clear()
        for label, several in found.items():
            gauge.labels(label).set(together(several))
