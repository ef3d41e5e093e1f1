"""The metrics of several processes as those of one."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from celers_worker.core import events as fact
from celers_worker.core.events import Events
from celers_worker.core.outcome import Completed, Settlement
from celers_worker.observe.combined import CombinedMetrics, snapshot
from celers_worker.observe.metrics import Metrics
from tests.observe.test_metrics import Samples, labels, samples_of
from tests.services.desk import a_task


class Process:
    """What one worker process counts."""

    def __init__(self) -> None:
        self.events = Events()
        self._registry = Metrics(self.events).registry

    def runs(self, count: int, *, queue: str = "q", seconds: float = 0.2) -> None:
        for _ in range(count):
            settlement = Settlement(a_task("send", queue=queue), Completed())
            self.events.emit(fact.TaskEnded(settlement, seconds))
            self.events.emit(fact.TasksSettled([settlement], 0.01))

    @property
    def snapshot(self) -> bytes:
        return snapshot(self._registry)


def served(metrics: CombinedMetrics) -> Samples:
    return samples_of(generate_latest(metrics.registry).decode())


def test_counters_and_histograms_are_added_up() -> None:
    metrics = CombinedMetrics(Events())
    for number, (count, seconds) in enumerate([(3, 0.2), (4, 0.7)]):
        process = Process()
        process.runs(count, seconds=seconds)
        metrics.combined.update(number, process.snapshot)

    samples = served(metrics)

    assert samples["celers_tasks_completed_total", labels(queue="q")] == 7
    assert samples["celers_tasks_completed_by_type_total", labels(task_name="send")] == 7
    runs = "celers_task_execution_seconds"
    assert samples[f"{runs}_bucket", labels(queue="q", le="0.1")] == 0
    assert samples[f"{runs}_bucket", labels(queue="q", le="0.5")] == 3
    assert samples[f"{runs}_bucket", labels(queue="q", le="+Inf")] == 7
    assert samples[f"{runs}_count", labels(queue="q")] == 7
    assert round(samples[f"{runs}_sum", labels(queue="q")], 6) == 3.4


def test_the_newest_snapshot_of_a_process_counts() -> None:
    metrics, process = CombinedMetrics(Events()), Process()
    for _ in range(3):
        process.runs(1)
        metrics.combined.update(1, process.snapshot)

    assert served(metrics)["celers_tasks_completed_total", labels(queue="q")] == 3


def test_what_the_dead_have_counted_stays_and_their_successors_begin_at_zero() -> None:
    metrics = CombinedMetrics(Events())
    for count in (1, 10, 100):
        process = Process()
        process.runs(count)
        metrics.combined.update(1, process.snapshot)
        metrics.combined.bury(1)
    metrics.combined.bury(2)  # it died before it said anything

    assert served(metrics)["celers_tasks_completed_total", labels(queue="q")] == 111


def test_gauges_are_those_of_the_process_that_counts_the_queues() -> None:
    metrics, counting, other = CombinedMetrics(Events()), Process(), Process()
    counting.events.emit(fact.QueuesCounted({"a": 1, "b": 2}, {}, {}, 7, 3))
    metrics.combined.update(1, counting.snapshot)
    counting.events.emit(fact.QueuesCounted({"b": 4}, {}, {}, 8, 3))
    metrics.combined.update(1, counting.snapshot)
    metrics.combined.update(2, other.snapshot)
    metrics.combined.bury(1)
    metrics.combined.update(1, Process().snapshot)  # its successor has not counted yet

    samples = served(metrics)

    assert samples["celers_queue_size", labels(queue="b")] == 4
    assert ("celers_queue_size", labels(queue="a")) not in samples
    assert samples["celers_dlq_size", labels()] == 8
    assert samples["celers_active_workers", labels()] == 3


def test_names_of_many_generations_do_not_flood_the_metrics() -> None:
    metrics = CombinedMetrics(Events())
    for generation in range(20):
        process = Process()
        for number in range(50):
            process.runs(1, queue=f"queue-{generation}-{number}")
        metrics.combined.update(1, process.snapshot)
        metrics.combined.bury(1)

    samples = served(metrics)

    names = [key for key in samples if key[0] == "celers_tasks_completed_total"]
    assert len(names) <= 501
    assert sum(samples[name] for name in names) == 1_000


def test_they_look_as_those_of_a_single_process() -> None:
    metrics, process = CombinedMetrics(Events()), Process()
    process.runs(1)
    metrics.combined.update(1, process.snapshot)
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    found = {family.name: family for family in families}
    assert found["celers_tasks_completed"].type == "counter"
    assert found["celers_task_execution_seconds"].type == "histogram"
    assert all(family.documentation for family in found.values())


def test_replaced_processes_are_counted() -> None:
    events = Events()
    metrics = CombinedMetrics(events)
    events.emit(fact.ProcessDied("web-1", 4711, "SIGKILL", 3.0, 1.0))
    assert served(metrics)["celers_processes_died_total", labels()] == 1
