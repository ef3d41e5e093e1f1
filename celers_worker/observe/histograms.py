"""A histogram that costs a quarter of prometheus_client's to count in.

That one takes a lock for each of several values, and walks the buckets. Ours is counted in by one
thread, the event loop's, and read by another, which may see a count without its sum for a moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Series:
    """The values of one set of labels."""

    __slots__ = ("_bounds", "counts", "observe", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self._bounds = bounds
        counts = self.counts

        def observe(value: float) -> None:
            counts[bisect_left(bounds, value)] += 1
            self.sum += value

        self.observe: Callable[[float], None] = observe
        """Count a value."""

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Histogram(Collector):
    """A histogram with one label at most."""

    def __init__(
        self,
        name: str,
        words: str,
        *,
        label: str | None = None,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._words, self._label = name, words, label
        self._bounds = bounds
        self._series: dict[str, Series] = {}
        if label is None:
            self.labels("")
        registry.register(self)

    def labels(self, value: str) -> Series:
        """The series of a label's value."""
        series = self._series.get(value)
        if series is None:
            series = self._series[value] = Series(self._bounds)
        return series

    def observe(self, value: float) -> None:
        """Count a value in a histogram without labels."""
        self._series[""].observe(value)

    def all(self) -> list[tuple[str, Series]]:
        """Every series with its label's value."""
        return list(self._series.copy().items())  # a copy is made in one step, for another thread

    def collect(self) -> Iterator[Metric]:
        """All of it, for a scrape."""
        labels = [] if self._label is None else [self._label]
        family = HistogramMetricFamily(self._name, self._words, labels=labels)
        texts = [*map(floatToGoString, self._bounds), "+Inf"]
        for value, series in self.all():
            buckets, so_far = [], 0
            for text, count in zip(texts, list(series.counts), strict=True):
                so_far += count
                buckets.append((text, so_far))
            family.add_metric([value] if labels else [], buckets, series.sum)
        yield family
