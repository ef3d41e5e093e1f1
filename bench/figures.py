"""What a scenario measures: figures by name, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Figures: TypeAlias = Mapping[str, float]

#: The units, by the beginning of a figure's name; the first that fits.
UNITS = (
    ("worker CPU", "µs"),
    ("worker memory", "MB"),
    ("worker start", "s"),
    ("enqueue to start", "ms"),
    ("commit to start", "ms"),
    ("", "tasks/s"),
)


def unit(name: str) -> str:
    """The unit of the figure called *name*."""
    return next(unit for beginning, unit in UNITS if name.startswith(beginning))


def shown(name: str, value: float) -> str:
    """*value* with as many digits as it deserves."""
    return f"{value:,.0f}" if unit(name) == "tasks/s" else f"{value:.1f}"
