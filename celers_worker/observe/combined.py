"""The metrics of several worker processes as those of one.

Each process sends snapshots of what it counts, and the supervisor adds them up. prometheus_client's
own way, files that all processes map, makes each count twice as dear, leaves a set of files for
every process that ever died, and turns the application's own metrics into such files too.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from celers_worker.core.events import Events, ProcessDied
from celers_worker.observe.names import Names

#: One sample: its name, its labels, its value.
_Sample: TypeAlias = tuple[str, dict[str, str], float]
#: One metric: its name, what it is, its type, its samples.
_Family: TypeAlias = tuple[str, str, str, list[_Sample]]
_Labels: TypeAlias = tuple[tuple[str, str], ...]
#: The samples of each metric, by their names and labels.
_Sums: TypeAlias = defaultdict[tuple[str, str, str], defaultdict[tuple[str, _Labels], float]]

_decoder = msgspec.msgpack.Decoder(list[_Family])


def snapshot(registry: CollectorRegistry) -> bytes:
    """What *registry* holds now, without the times when its series were made."""
    families = [
        (
            metric.name,
            metric.documentation,
            metric.type,
            [
                (sample.name, sample.labels, float(sample.value))
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ],
        )
        for metric in registry.collect()
    ]
    return msgspec.msgpack.encode(families)


class Combined(Collector):
    """Adds up what processes count, those that are gone too; gauges are the newest there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # it is read by the server's thread
        self._gone = _no_sums()
        self._living: dict[int, list[_Family]] = {}
        self._gauges: dict[str, _Family] = {}
        # Each process knows its own first names, and over many restarts they add up.
        self._names: defaultdict[str, Names] = defaultdict(Names)

    def update(self, process: int, snapshot: bytes) -> None:
        """*process* has counted this since it started."""
        families = _decoder.decode(snapshot)
        gauges = {family[0]: family for family in families if family[2] == "gauge"}
        with self._lock:
            self._living[process] = [family for family in families if family[2] != "gauge"]
            self._gauges |= gauges

    def bury(self, process: int) -> None:
        """*process* is gone, what it has counted stays."""
        with self._lock:
            self._add(self._living.pop(process, []), self._gone)

    def collect(self) -> Iterator[Metric]:
        """All of it, for a scrape."""
        sums = _no_sums()
        with self._lock:
            for key, samples in self._gone.items():
                sums[key].update(samples)
            for families in self._living.values():
                self._add(families, sums)
            gauges = list(self._gauges.values())
        for (name, documentation, kind), samples in sums.items():
            summed = ((sample, dict(labels), value) for (sample, labels), value in samples.items())
            yield _metric(name, documentation, kind, summed)
        for family in gauges:
            yield _metric(*family)

    def _add(self, families: Iterable[_Family], sums: _Sums) -> None:
        for name, documentation, kind, samples in families:
            family = sums[name, documentation, kind]
            for sample, labels, value in samples:
                family[sample, self._bounded(labels)] += value

    def _bounded(self, labels: Mapping[str, str]) -> _Labels:
        return tuple(
            (label, text if label == "le" else self._names[label].label(text))
            for label, text in labels.items()
        )


class CombinedMetrics:
    """What a supervisor serves: all that its processes count, and how often it replaced one."""

    def __init__(self, events: Events) -> None:
        self.registry = CollectorRegistry()
        self.combined = Combined()
        self.registry.register(self.combined)
        died = Counter(
            "celers_processes_died_total",
            "Worker processes that ended unasked, and were replaced.",
            registry=self.registry,
        )
        events.listen(ProcessDied, lambda event: died.inc())


def _no_sums() -> _Sums:
    return defaultdict(lambda: defaultdict(float))


def _metric(name: str, documentation: str, kind: str, samples: Iterable[_Sample]) -> Metric:
    metric = Metric(name, documentation, kind)
    for sample, labels, value in samples:
        metric.add_sample(sample, labels, value)
    return metric
