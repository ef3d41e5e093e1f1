from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Theirs
from prometheus_client.parser import text_string_to_metric_families

from celers_worker.observe.histograms import Histogram

BOUNDS = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300)


def test_it_says_what_prometheus_clients_own_says() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    one = Histogram("seconds", "Words.", label="queue", bounds=BOUNDS, registry=ours)
    other = Theirs("seconds", "Words.", ["queue"], buckets=BOUNDS, registry=theirs)
    chance = random.Random(1)
    values = [*BOUNDS, 0.0, 1e9, *(chance.expovariate(0.3) for _ in range(500))]
    for value in values:
        queue = chance.choice(["a", 'b"\\\n'])
        one.labels(queue).observe(value)
        other.labels(queue).observe(value)

    def samples(registry: CollectorRegistry) -> dict[object, float]:
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(generate_latest(registry).decode())
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    assert samples(ours) == samples(theirs)


def test_without_a_label_it_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    Histogram("size", "Words.", bounds=(1, 2), registry=registry).observe(2)
    assert registry.get_sample_value("size_bucket", {"le": "2.0"}) == 1
    assert registry.get_sample_value("size_bucket", {"le": "1.0"}) == 0
    assert registry.get_sample_value("size_count") == 1
