"""Gauges of each worker process, read from its pulse when somebody asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from celers_worker.core.pulse import Pool, Pulse
from celers_worker.observe.names import Names
from celers_worker.version import __version__

#: Values, with the labels that they have besides the worker's.
_Values = Iterable[tuple[Sequence[str], float]]
_Gauge = tuple[str, str, Sequence[str], Callable[[Pulse], _Values]]


class PulseGauges(Collector):
    """Shows the last ``pulses`` it was given: what nobody asks for costs nothing."""

    def __init__(self) -> None:
        self.pulses: Sequence[Pulse] = ()
        self._names = Names()

    def collect(self) -> Iterator[Metric]:
        """All gauges, for a scrape."""
        for name, words, labels, values in _GAUGES:
            family = GaugeMetricFamily(name, words, labels=["worker", *labels])
            for pulse in self.pulses:
                for found, number in self._bounded(labels, values(pulse)).items():
                    family.add_metric([pulse.worker, *found], number)
            yield family

    def _bounded(self, labels: Sequence[str], values: _Values) -> dict[tuple[str, ...], float]:
        sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for texts, number in values:
            known = (
                self._names.label(text) if label == "name" and text else text
                for label, text in zip(labels, texts, strict=True)
            )
            sums[tuple(known)] += number
        return sums


def _one(number: float | None) -> _Values:
    return [] if number is None else [([], number)]


def _of_pool(value: Callable[[Pool], int]) -> Callable[[Pulse], _Values]:
    return lambda pulse: _one(value(pulse.pool) if pulse.pool is not None else None)


#: The name, what it is, its labels besides the worker's, and where its values come from.
_GAUGES: Sequence[_Gauge] = (
    (
        "celers_worker_info",
        "Always 1; the version that runs.",
        ["version"],
        lambda pulse: [([__version__], 1)],
    ),
    (
        "celers_worker_ready",
        "1 while the worker takes tasks.",
        [],
        lambda pulse: _one(pulse.ready),
    ),
    (
        "celers_worker_alive",
        "1 while every loop of the worker moves.",
        [],
        lambda pulse: _one(pulse.alive),
    ),
    (
        "celers_worker_utilization_percent",
        "Running tasks, of a hundred that may run.",
        [],
        lambda pulse: _one(100 * pulse.running / max(pulse.concurrency, 1)),
    ),
    (
        "celers_worker_memory_usage_bytes",
        "Memory that the process occupies.",
        [],
        lambda pulse: _one(pulse.memory),
    ),
    (
        "celers_permits_in_use",
        "Tasks that run or are claimed, by what limits them: total, queue or handler.",
        ["tier", "name"],
        lambda pulse: [([one.tier, one.name], one.in_use) for one in pulse.permits],
    ),
    (
        "celers_permits_limit",
        "Tasks that may run at once: total, queue or handler.",
        ["tier", "name"],
        lambda pulse: [([one.tier, one.name], one.limit) for one in pulse.permits],
    ),
    (
        "celers_loop_age_seconds",
        "Time since a loop last did its work.",
        ["loop"],
        lambda pulse: [([beat.loop], beat.age) for beat in pulse.loops],
    ),
    (
        "celers_loop_stuck",
        "1 while a loop stands still.",
        ["loop"],
        lambda pulse: [([beat.loop], beat.stuck) for beat in pulse.loops],
    ),
    (
        "celers_lease_left_seconds",
        "Time until runs are stopped, unless the lease is renewed.",
        [],
        lambda pulse: _one(pulse.lease_left),
    ),
    (
        "celers_settle_backlog",
        "Outcomes that are not written yet.",
        [],
        lambda pulse: _one(pulse.backlog),
    ),
    (
        "celers_settle_lag_seconds",
        "Age of the oldest outcome that is not written.",
        [],
        lambda pulse: _one(pulse.settle_lag),
    ),
    (
        "celers_db_latency_seconds",
        "How long the database took to answer the last heartbeat.",
        [],
        lambda pulse: _one(pulse.database_latency),
    ),
    (
        "celers_db_pool_max_size",
        "Connections that there may be.",
        [],
        _of_pool(lambda pool: pool.limit),
    ),
    (
        "celers_db_pool_size",
        "Connections that are open.",
        [],
        _of_pool(lambda pool: pool.open),
    ),
    (
        "celers_db_pool_in_use",
        "Connections that are at work, or held for the hot path.",
        [],
        _of_pool(lambda pool: pool.in_use),
    ),
    (
        "celers_db_pool_idle",
        "Connections that are open and free.",
        [],
        _of_pool(lambda pool: pool.open - pool.in_use),
    ),
)
