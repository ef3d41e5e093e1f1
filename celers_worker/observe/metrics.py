"""Every Prometheus metric there is. The names are CeleRS's, with ours where it has none."""

from __future__ import annotations

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from celers_worker.core import control_events as control
from celers_worker.core import events as fact
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.events import Events
from celers_worker.core.outcome import Cancelled, Completed, Dead, Expired, Release, Retry

_OUTCOMES = {
    Completed: "completed",
    Retry: "retried",
    Dead: "failed",
    Cancelled: "cancelled",
    Expired: "expired",
    Release: "released",
}
_SECONDS = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
_WAITS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600)
_LATENCIES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5)
#: Names of tasks and queues come from rows, which anybody may write; what is over goes to one
#: series.
_NAMES = 200


class Names:
    """The first names that come, and one name for all further ones."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """*name*, or ``(other)`` if there are too many."""
        if name not in self._known:
            if len(self._known) >= _NAMES:
                return "(other)"
            self._known.add(name)
        return name


class Metrics:
    """Counts events."""

    def __init__(self, events: Events) -> None:
        # Of its own: an application that embeds a worker has its own metrics.
        self.registry = registry = CollectorRegistry()
        self._names, self._queues, self._schedules = Names(), Names(), Names()
        self._by_queue, self._by_type = (
            {
                outcome: Counter(
                    name.format(outcome), words.format(outcome), [label], registry=registry
                )
                for outcome in ("enqueued", *_OUTCOMES.values())
            }
            for name, words, label in (
                ("celers_tasks_{}_total", "Tasks {}.", "queue"),
                ("celers_tasks_{}_by_type_total", "Tasks {}, by their name.", "task_name"),
            )
        )
        self._stale = self._counter(
            "celers_stale_settles_total", "Outcomes refused because their lease was lost."
        )
        self._lost = self._counter("celers_leases_lost_total", "Runs stopped, their lease lost.")
        self._reaped = self._counter(
            "celers_tasks_reaped_total", "Tasks taken back from lost workers."
        )
        self._poisoned = self._counter(
            "celers_tasks_poisoned_total", "Tasks buried because their workers died."
        )
        self._parked = self._counter(
            "celers_tasks_parked_total", "Tasks given back for want of a handler."
        )
        self._empty = self._counter("celers_claims_empty_total", "Claims that found no task.")
        self._ticks = Counter(
            "celers_schedule_ticks_total",
            "Ticks of schedules: fired, missed (once, however many) or overlapped.",
            ["schedule", "outcome"],
            registry=registry,
        )
        self._circuits = Counter(
            "celers_circuit_changes_total",
            "Circuits that this worker opened, tried or closed.",
            ["task_name", "change"],
            registry=registry,
        )
        self._held = Gauge(
            "celers_handlers_held",
            "1 while this worker claims no tasks of a handler: paused, or its circuit is open.",
            ["task_name"],
            registry=registry,
        )
        self._failures = Counter(
            "celers_service_failures_total", "Ticks that raised.", ["service"], registry=registry
        )
        self._runs = Histogram(
            "celers_task_execution_seconds",
            "How long handlers ran.",
            ["queue"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._waits = Histogram(
            "celers_task_queue_wait_time_seconds",
            "From due to claimed.",
            ["queue"],
            buckets=_WAITS,
            registry=registry,
        )
        # To find a series costs as much as to count in it, and these are counted for every task.
        self._runs_in = lru_cache(_NAMES)(
            lambda queue: self._runs.labels(self._queues.label(queue))
        )
        self._waits_in = lru_cache(_NAMES)(
            lambda queue: self._waits.labels(self._queues.label(queue))
        )
        self._claims = self._latency("celers_broker_dequeue_latency_seconds", "Claims.")
        self._settles = self._latency("celers_broker_ack_latency_seconds", "Settles.")
        self._has_gauges = False
        self._listen(events)

    def _add_gauges(self) -> None:
        # When they are first counted: a worker that does not count the queues has no zeros to tell.
        self._has_gauges = True
        self._pending = self._gauge("celers_queue_size", "Tasks that are due.", "queue")
        self._processing = self._gauge(
            "celers_processing_queue_size", "Tasks that are being run.", "queue"
        )
        self._oldest = self._gauge(
            "celers_oldest_pending_seconds", "Age of the oldest task that is due.", "queue"
        )
        self._dead = self._gauge("celers_dlq_size", "Tasks in the dead letter queue.")
        self._workers = self._gauge("celers_active_workers", "Workers with a live lease.")

    def _listen(self, events: Events) -> None:
        events.listen(fact.TasksEnqueued, self._enqueued)
        events.listen(fact.TasksClaimed, self._claimed)
        events.listen(fact.TaskEnded, self._ended)
        events.listen(fact.TasksSettled, self._settled)
        events.listen(fact.SettleRefused, lambda event: self._stale.inc(len(event.settlements)))
        events.listen(fact.LeasesLost, lambda event: self._lost.inc(len(event.tasks)))
        events.listen(fact.TaskParked, lambda event: self._parked.inc())
        events.listen(fact.TasksReaped, self._were_reaped)
        events.listen(
            fact.TicksFired, lambda event: self._tick(event.schedule, "fired", len(event.tasks))
        )
        events.listen(fact.TicksMissed, lambda event: self._tick(event.schedule, "missed", 1))
        events.listen(
            fact.TicksOverlapped,
            lambda event: self._tick(event.schedule, "overlapped", event.count),
        )
        for kind, change in (
            (control.CircuitOpened, "opened"),
            (control.CircuitProbed, "probed"),
            (control.CircuitClosed, "closed"),
        ):
            events.listen(kind, partial(self._circuit, change))
        events.listen(control.HandlerHeld, lambda event: self._hold(event.handler, 1))
        events.listen(control.HandlerFreed, lambda event: self._hold(event.handler, 0))
        events.listen(fact.QueuesCounted, self._counted)
        events.listen(fact.ServiceFailed, lambda event: self._failures.labels(event.service).inc())

    def _enqueued(self, event: fact.TasksEnqueued) -> None:
        for (queue, name), count in event.counts.items():
            self._count("enqueued", queue, name, count)

    def _claimed(self, event: fact.TasksClaimed) -> None:
        self._claims.observe(event.seconds)
        if not event.tasks:
            self._empty.inc()
        for task in event.tasks:
            waited = (task.started_at - task.scheduled_at).total_seconds()
            self._waits_in(task.queue).observe(max(waited, 0.0))

    def _ended(self, event: fact.TaskEnded) -> None:
        self._runs_in(event.settlement.task.queue).observe(event.seconds)

    def _settled(self, event: fact.TasksSettled) -> None:
        self._settles.observe(event.seconds)
        tally = Tally(
            (_OUTCOMES[type(one.outcome)], one.task.queue, one.task.name)
            for one in event.settlements
        )
        for (outcome, queue, name), count in tally.items():
            self._count(outcome, queue, name, count)

    def _were_reaped(self, event: fact.TasksReaped) -> None:
        self._reaped.inc(len(event.released) + len(event.buried))
        self._poisoned.inc(len(event.buried))

    def _counted(self, event: fact.QueuesCounted) -> None:
        if not self._has_gauges:
            self._add_gauges()
        self._replace(self._pending, event.pending, sum)
        self._replace(self._processing, event.processing, sum)
        self._replace(self._oldest, event.oldest_pending, max)
        self._dead.set(event.dead)
        self._workers.set(event.workers)

    def _circuit(self, change: str, event: Any) -> None:
        self._circuits.labels(self._names.label(event.handler), change).inc()

    def _hold(self, handler: str, value: int) -> None:
        self._held.labels(self._names.label(handler)).set(value)

    def _tick(self, schedule: str, outcome: str, count: int) -> None:
        self._ticks.labels(self._schedules.label(schedule), outcome).inc(count)

    def _count(self, outcome: str, queue: str, name: str, count: int) -> None:
        self._by_queue[outcome].labels(self._queues.label(queue)).inc(count)
        self._by_type[outcome].labels(self._names.label(name)).inc(count)

    def _replace(
        self,
        gauge: Gauge,
        values: Mapping[str, float],
        together: Callable[[Iterable[float]], float],
    ) -> None:
        """Set the gauge for each queue, and forget the queues that are gone."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        for queue, value in values.items():
            found[self._queues.label(queue)].append(value)
        gauge.clear()
        for label, several in found.items():
            gauge.labels(label).set(together(several))

    def _counter(self, name: str, words: str) -> Counter:
        return Counter(name, words, registry=self.registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(name, words, labels, registry=self.registry)

    def _latency(self, name: str, words: str) -> Histogram:
        return Histogram(name, words, buckets=_LATENCIES, registry=self.registry)


class MetricsServer:
    """Serves ``/metrics`` from its own thread. Raises ConfigurationError if the port is taken."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigurationError(
                f"metrics cannot be served on {host}:{port}: {error.strerror or error}. "
                "Choose another port: --metrics-port or [metrics] port."
            ) from None
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
