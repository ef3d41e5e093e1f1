"""Every counter and histogram there is. The names are CeleRS's, with ours where it has none.

What counts the tasks of all workers together is in ``backlog``, what one worker says of itself in
``gauges``.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from celers_worker.core import control_events as control
from celers_worker.core import events as fact
from celers_worker.core.errors import StoreError
from celers_worker.core.events import Events
from celers_worker.core.outcome import Cancelled, Completed, Dead, Expired, Release, Retry
from celers_worker.core.process_events import LoopTurned
from celers_worker.core.scaling import MeanTimes
from celers_worker.observe.backlog import BacklogGauges
from celers_worker.observe.histograms import Histogram
from celers_worker.observe.names import Names
from celers_worker.observe.timings import LATENCIES, SIZES, Timings

_OUTCOMES = {
    Completed: "completed",
    Retry: "retried",
    Dead: "failed",
    Cancelled: "cancelled",
    Expired: "expired",
    Release: "released",
}
#: The counters without labels.
_COUNTERS = {
    "celers_stale_settles_total": "Outcomes refused because their lease was lost.",
    "celers_leases_lost_total": "Runs stopped, their lease lost.",
    "celers_tasks_reaped_total": "Tasks taken back from lost workers.",
    "celers_tasks_poisoned_total": "Tasks buried because their workers died.",
    "celers_tasks_parked_total": "Tasks given back for want of a handler.",
    "celers_tasks_recovered_total": "Claimed tasks given back, the claim's answer lost.",
    "celers_tasks_abandoned_total": "Handlers that did not stop when they were told to.",
    "celers_claims_empty_total": "Claims that found no task.",
    "celers_batch_enqueue_total": "Enqueues, of however many tasks.",
    "celers_batch_dequeue_total": "Claims that found tasks.",
    "celers_loop_blocked_total": "Times that a handler was found to hold the event loop.",
}


class Metrics:
    """Counts events."""

    def __init__(
        self,
        events: Events,
        *,
        handlers: Iterable[str] = (),
        queues: Iterable[str] = (),
        drain_target: float = 60.0,
    ) -> None:
        """*handlers*, *queues*: names that have series of their own, whatever rows are called.

        *drain_target*: the desired number of workers does what is due within so many seconds.
        """
        # Of its own: an application that embeds a worker has its own metrics.
        self.registry = CollectorRegistry()
        self._names, self._queues, self._schedules = Names(handlers), Names(queues), Names()
        outcomes = ("enqueued", *_OUTCOMES.values())
        self._by_queue = {word: self._tasks(word, "", "queue") for word in outcomes}
        self._by_type = {word: self._tasks(word, "_by_type", "task_name") for word in outcomes}
        # To find a series costs as much as to count in it.
        self._counter_of = lru_cache(2_048)(
            lambda outcome, queue: self._by_queue[outcome].labels(self._queues.label(queue))
        )
        self._counter_of_type = lru_cache(2_048)(
            lambda outcome, name: self._by_type[outcome].labels(self._names.label(name))
        )
        self._plain = {
            name: Counter(name, words, registry=self.registry) for name, words in _COUNTERS.items()
        }
        self._ticks = self._counter(
            "celers_schedule_ticks_total",
            "Ticks of schedules: fired, missed (once, however many) or overlapped.",
            "schedule",
            "outcome",
        )
        self._circuits = self._counter(
            "celers_circuit_changes_total",
            "Circuits that this worker opened, tried or closed.",
            "task_name",
            "change",
        )
        self._held = Gauge(
            "celers_handlers_held",
            "1 while this worker claims no tasks of a handler: paused, or its circuit is open.",
            ["task_name"],
            registry=self.registry,
        )
        self._failures = self._counter("celers_service_failures_total", "Failed ticks.", "service")
        self._errors = self._counter(
            "celers_db_errors_total", "Calls that the database failed, by what it was.", "kind"
        )
        self._timings = Timings(self.registry, queues=self._queues, names=self._names)
        self._claims = self._latency("celers_broker_dequeue_latency_seconds", "Claims.")
        self._settles = self._latency("celers_broker_ack_latency_seconds", "Settles.")
        self._enqueues = self._latency("celers_broker_enqueue_latency_seconds", "Enqueues.")
        self._batches = Histogram(
            "celers_batch_size", "Tasks in a claim.", bounds=SIZES, registry=self.registry
        )
        self._lag = self._latency("celers_loop_lag_seconds", "How late the event loop is.")
        self._late = self._latency("celers_scheduler_lag_seconds", "From a tick to its task.")
        self._times = MeanTimes()
        self._backlog = BacklogGauges(
            self.registry, self._queues, self._times, drain_target=drain_target
        )
        self._listen(events)

    def _listen(self, events: Events) -> None:
        def count(event_type: type, name: str, size: str = "") -> None:
            counter = self._plain[name]
            events.listen(
                event_type,
                lambda event: counter.inc(len(getattr(event, size)) if size else 1),
            )

        count(fact.SettleRefused, "celers_stale_settles_total", "settlements")
        count(fact.LeasesLost, "celers_leases_lost_total", "tasks")
        count(fact.TaskParked, "celers_tasks_parked_total")
        count(fact.TaskAbandoned, "celers_tasks_abandoned_total")
        count(fact.LoopBlocked, "celers_loop_blocked_total")
        count(fact.TasksReaped, "celers_tasks_reaped_total", "released")
        count(fact.TasksReaped, "celers_tasks_reaped_total", "buried")
        count(fact.TasksReaped, "celers_tasks_poisoned_total", "buried")
        recovered = self._plain["celers_tasks_recovered_total"]
        events.listen(fact.TasksRecovered, lambda event: recovered.inc(event.count))
        events.listen(fact.TasksEnqueued, self._enqueued)
        events.listen(fact.TasksClaimed, self._claimed)
        events.listen(fact.TaskEnded, self._timings.ended)
        events.listen(fact.TasksSettled, self._settled)
        events.listen(fact.TicksFired, self._fired)
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
        events.listen(fact.ServiceFailed, self._failed)
        events.listen(LoopTurned, lambda event: self._lag.observe(event.lag))

    def _enqueued(self, event: fact.TasksEnqueued) -> None:
        self._plain["celers_batch_enqueue_total"].inc()
        self._enqueues.observe(event.seconds)
        for (queue, name), count in event.counts.items():
            self._count("enqueued", queue, name, count)

    def _claimed(self, event: fact.TasksClaimed) -> None:
        self._claims.observe(event.seconds)
        if not event.tasks:
            self._plain["celers_claims_empty_total"].inc()
            return
        self._plain["celers_batch_dequeue_total"].inc()
        self._batches.observe(len(event.tasks))
        self._timings.claimed(event.tasks)

    def _settled(self, event: fact.TasksSettled) -> None:
        self._settles.observe(event.seconds)
        self._timings.settled(event.settlements)
        tally = Tally(
            (_OUTCOMES[type(one.outcome)], one.task.queue, one.task.name)
            for one in event.settlements
        )
        for (outcome, queue, name), count in tally.items():
            self._count(outcome, queue, name, count)

    def _fired(self, event: fact.TicksFired) -> None:
        self._late.observe(max(event.late, 0.0))
        self._tick(event.schedule, "fired", len(event.tasks))

    def _failed(self, event: fact.ServiceFailed) -> None:
        self._failures.labels(event.service).inc()
        if isinstance(event.error, StoreError):
            self._errors.labels(event.error.kind).inc()

    def _counted(self, event: fact.QueuesCounted) -> None:
        for queue, series in self._timings.runs_by_queue():
            self._times.update(queue, series.sum, series.count)
        self._backlog.show(event)

    def _circuit(self, change: str, event: Any) -> None:
        self._circuits.labels(self._names.label(event.handler), change).inc()

    def _hold(self, handler: str, value: int) -> None:
        self._held.labels(self._names.label(handler)).set(value)

    def _tick(self, schedule: str, outcome: str, count: int) -> None:
        self._ticks.labels(self._schedules.label(schedule), outcome).inc(count)

    def _count(self, outcome: str, queue: str, name: str, count: int) -> None:
        self._counter_of(outcome, queue).inc(count)
        self._counter_of_type(outcome, name).inc(count)

    def _tasks(self, outcome: str, kind: str, label: str) -> Counter:
        words = f"Tasks {outcome}, by their {'name' if kind else 'queue'}."
        return self._counter(f"celers_tasks_{outcome}{kind}_total", words, label)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self.registry)

    def _latency(self, name: str, words: str) -> Histogram:
        return Histogram(name, words, bounds=LATENCIES, registry=self.registry)
