"""What a measurement comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

RATE, MILLISECONDS = "tasks/s", "ms"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number; *hint* is a sentence on what bounds it, or what to tune."""

    name: str
    value: float
    unit: str
    hint: str = ""


def percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile of two values or more, in milliseconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1e3, cuts[94] * 1e3, cuts[98] * 1e3
