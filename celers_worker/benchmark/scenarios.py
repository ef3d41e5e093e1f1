"""What is measured, in the order of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from celers_worker.benchmark.draining import drain
from celers_worker.benchmark.enqueueing import enqueue, round_trip
from celers_worker.benchmark.figures import Figure
from celers_worker.benchmark.knee import knee
from celers_worker.benchmark.latency import latency
from celers_worker.benchmark.run import Run

#: Begins and ends with an empty queue.
Scenario: TypeAlias = Callable[[Run], Sequence[Figure]]

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "round-trip": round_trip,
        "enqueue": enqueue,
        "drain": drain,
        "latency": latency,
        "knee": knee,
    }
)
