from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from celers_worker import Cancel, Celers, Snooze, Worker, backoff
from celers_worker.config import load_config
from celers_worker.core import events as fact
from celers_worker.core.errors import ConfigurationError, Unavailable
from celers_worker.core.events import Events
from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import new_id
from celers_worker.observe.metrics import Metrics
from celers_worker.services import crew
from tests.services.desk import NOW, a_task
from tests.waiting import eventually

Samples = defaultdict[tuple[str, frozenset[tuple[str, str]]], float]

COUNTERS = [
    *(
        f"celers_tasks_{outcome}{by_type}_total"
        for outcome in ("enqueued", "completed", "failed", "retried", "cancelled")
        for by_type in ("", "_by_type")
    ),
    "celers_stale_settles_total",
    "celers_leases_lost_total",
    "celers_tasks_reaped_total",
    "celers_tasks_poisoned_total",
]
GAUGES = [
    "celers_queue_size",
    "celers_processing_queue_size",
    "celers_dlq_size",
    "celers_active_workers",
]
HISTOGRAMS = {
    "celers_task_execution_seconds": [0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
    "celers_task_queue_wait_time_seconds": [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600],
    "celers_broker_dequeue_latency_seconds": [0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5],
    "celers_broker_ack_latency_seconds": [0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5],
}


def samples_of(text: str) -> Samples:
    found: Samples = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def fetch(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


class Counted:
    """Metrics, and the text of a scrape."""

    def __init__(self, **options: Any) -> None:
        self.events = Events()
        self.metrics = Metrics(self.events, **options)

    @property
    def text(self) -> str:
        return generate_latest(self.metrics.registry).decode()

    @property
    def samples(self) -> Samples:
        return samples_of(self.text)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_the_metrics_have_the_names_that_celers_dashboards_ask_for(
    counted: Counted,
) -> None:
    events = counted.events
    task = a_task()
    events.emit(fact.TasksClaimed([task], 0.01))
    events.emit(fact.TaskEnded(Settlement(task, Completed()), 0.2))
    events.emit(fact.TasksSettled([Settlement(task, Completed())], 0.01))
    events.emit(fact.QueuesCounted({"q": 1}, {"q": 1}, {"q": 1.0}, 0, 1))
    families = {family.name: family for family in text_string_to_metric_families(counted.text)}
    for name in COUNTERS:
        assert families[name.removesuffix("_total")].type == "counter"
    for name in GAUGES:
        assert families[name].type == "gauge"
    for name, buckets in HISTOGRAMS.items():
        assert families[name].type == "histogram"
        found = {
            float(sample.labels["le"]) for sample in families[name].samples if "le" in sample.labels
        }
        assert found == {*buckets, float("inf")}
    assert all(family.documentation for family in families.values())


def test_events_are_counted(counted: Counted) -> None:
    events = counted.events
    task = a_task("send", queue="emails", scheduled=NOW - timedelta(seconds=3))
    events.emit(fact.SettleRefused([Settlement(task, Completed())] * 2))
    events.emit(fact.LeasesLost([task, task, task], "lost"))
    events.emit(fact.TasksReaped([new_id()], [new_id(), new_id()]))
    events.emit(fact.TaskParked(task, ""))
    events.emit(fact.TasksClaimed([], 0.01))
    events.emit(fact.TasksClaimed([task], 0.01))
    events.emit(fact.ServiceFailed("poller", Unavailable("away"), 1, 0.1))
    events.emit(fact.TasksEnqueued({("emails", "send"): 5}, 0.01))
    events.emit(fact.TicksFired("nightly", [new_id(), new_id()], 0.1))
    events.emit(fact.TicksMissed("nightly", NOW, NOW))
    events.emit(fact.TicksOverlapped("nightly", 3))
    samples = counted.samples
    assert samples["celers_stale_settles_total", labels()] == 2
    assert samples["celers_leases_lost_total", labels()] == 3
    assert samples["celers_tasks_reaped_total", labels()] == 3
    assert samples["celers_tasks_poisoned_total", labels()] == 2
    assert samples["celers_tasks_parked_total", labels()] == 1
    assert samples["celers_claims_empty_total", labels()] == 1
    assert samples["celers_service_failures_total", labels(service="poller")] == 1
    for outcome, count in (("fired", 2), ("missed", 1), ("overlapped", 3)):
        series = labels(schedule="nightly", outcome=outcome)
        assert samples["celers_schedule_ticks_total", series] == count
    assert samples["celers_tasks_enqueued_total", labels(queue="emails")] == 5
    assert samples["celers_tasks_enqueued_by_type_total", labels(task_name="send")] == 5
    assert samples["celers_task_queue_wait_time_seconds_sum", labels(queue="emails")] == 3


def test_a_queue_that_is_gone_leaves_the_gauges(counted: Counted) -> None:
    events = counted.events
    events.emit(fact.QueuesCounted({"a": 1, "b": 2}, {}, {}, 7, 3))
    events.emit(fact.QueuesCounted({"b": 4}, {}, {}, 7, 3))
    samples = counted.samples
    assert samples["celers_queue_size", labels(queue="b")] == 4
    assert ("celers_queue_size", labels(queue="a")) not in samples
    assert samples["celers_dlq_size", labels()] == 7
    assert samples["celers_active_workers", labels()] == 3


def test_names_that_anybody_may_write_do_not_flood_the_metrics(
    counted: Counted,
) -> None:
    events = counted.events
    for number in range(5_000):
        task = a_task(f"task-{number}", queue='a"b\\c\nd')
        events.emit(fact.TasksSettled([Settlement(task, Completed())], 0.01))
    samples = counted.samples
    names = [key for key in samples if key[0] == "celers_tasks_completed_by_type_total"]
    assert len(names) <= 501
    assert sum(samples[name] for name in names) == 5_000
    assert samples["celers_tasks_completed_total", labels(queue='a"b\\c\nd')] == 5_000


def test_a_queues_name_that_anybody_may_write_does_not_flood_the_metrics(
    counted: Counted,
) -> None:
    events = counted.events
    for number in range(5_000):
        task = a_task(queue=f"queue-{number}")
        events.emit(fact.TasksClaimed([task], 0.01))
        events.emit(fact.TaskEnded(Settlement(task, Completed()), 0.1))
        events.emit(fact.TasksSettled([Settlement(task, Completed())], 0.01))
    names = {key for key in counted.samples if key[0] == "celers_tasks_completed_total"}
    assert len(names) <= 501


async def test_a_real_run_is_counted_and_served(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_SURVEY", 0.05)
    app = Celers()

    @app.task(queue="emails")
    async def send() -> int:
        return 1

    @app.task(max_retries=1, backoff=backoff.immediate())
    def broken() -> None:
        raise ValueError("no such user")

    @app.task()
    async def cancels() -> None:
        raise Cancel

    @app.task()
    async def snoozes() -> None:
        raise Snooze("1h")

    flags = {"database.url": migrated_url, "metrics.port": 0}
    worker = Worker(app, load_config(environment={}, flags=flags).config)
    async with worker:
        port = worker.metrics_port
        assert port
        await app.enqueue_many([send.call() for _ in range(7)])
        for task in (broken, cancels, snoozes):
            await task.enqueue()

        async def everything_has_ended() -> Samples:
            samples = samples_of(await asyncio.to_thread(fetch, port))
            assert samples["celers_tasks_completed_total", labels(queue="emails")] == 7
            assert samples["celers_tasks_retried_total", labels(queue="default")] == 1
            assert samples["celers_tasks_failed_by_type_total", labels(task_name="broken")] == 1
            assert samples["celers_tasks_cancelled_total", labels(queue="default")] == 1
            assert samples["celers_tasks_released_total", labels(queue="default")] == 1
            assert samples["celers_dlq_size", labels()] == 1
            return samples

        samples = await eventually(everything_has_ended)
    await app.close()
    assert samples["celers_tasks_enqueued_total", labels(queue="emails")] == 7
    assert samples["celers_tasks_enqueued_by_type_total", labels(task_name="broken")] == 1
    assert samples["celers_task_execution_seconds_count", labels(queue="emails")] == 7
    assert samples["celers_task_execution_seconds_count", labels(queue="default")] == 4
    assert samples["celers_task_queue_wait_time_seconds_count", labels(queue="emails")] == 7
    assert samples["celers_active_workers", labels()] == 1
    assert samples["celers_stale_settles_total", labels()] == 0
    assert samples["celers_broker_ack_latency_seconds_count", labels()] >= 1
    assert "secret" not in str(samples)
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(fetch, port)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_a_port_that_is_taken_ends_the_worker_before_it_claims(migrated_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = {"database.url": migrated_url, "metrics.port": port}
        worker = Worker(Celers(), load_config(environment={}, flags=flags).config)
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}.*--metrics-port"):
            await worker.run()


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_without_a_port_nothing_is_served_and_nothing_counted(migrated_url: str) -> None:
    config = load_config(environment={}, flags={"database.url": migrated_url}).config
    worker = Worker(Celers(), config)
    async with worker:
        assert worker.presence.metrics is None
        assert worker.metrics_port is None


def test_two_workers_in_one_process_count_apart() -> None:
    one, other = Events(), Events()
    metrics = Metrics(one), Metrics(other)
    one.emit(fact.TasksClaimed([], 0.1))
    counted = [each.registry.get_sample_value("celers_claims_empty_total") for each in metrics]
    assert counted == [1, 0]
