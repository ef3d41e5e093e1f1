"""What a scenario measures: figures by name, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

_AT = " @ "

#: ``a name @ 2000`` is a point of a curve: for the plots, and not for the table.
Figures: TypeAlias = Mapping[str, float]

#: The units and the digits that a figure deserves, by a part of its name; the first that fits.
UNITS = (
    ("ratio", "", 2),
    ("CPU per 10,000", "s", 2),
    ("CPU per task", "µs", 1),
    ("CPU", "%", 2),
    ("WAL", "bytes/task", 0),
    ("statements", "/s", 2),
    ("growth", "MiB/100,000 tasks", 2),
    ("memory", "MiB", 1),
    ("start and stop", "s", 1),
    ("to start", "ms", 1),
    ("lines", "", 0),
    ("", "tasks/s", 0),
)


def point(name: str, at: int) -> str:
    """The name of one point of the curve called *name*."""
    return f"{name}{_AT}{at}"


def place_of(name: str) -> tuple[str, int] | None:
    """The curve and the place of a point; None for any other figure."""
    curve, at, place = name.rpartition(_AT)
    return (curve, int(place)) if at else None


def unit(name: str) -> str:
    """The unit of the figure called *name*."""
    return _form(name)[0]


def shown(name: str, value: float) -> str:
    """*value* with as many digits as it deserves."""
    return f"{value:,.{_form(name)[1]}f}"


def _form(name: str) -> tuple[str, int]:
    return next((unit, digits) for part, unit, digits in UNITS if part in name)
