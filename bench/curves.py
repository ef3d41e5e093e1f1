"""Curves out of the files that ``python -m bench --json`` writes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

from bench.figures import place_of


@dataclass(frozen=True, slots=True)
class Point:
    """What the runs measured at one place: the middle, the lowest and the highest."""

    at: int
    middle: float
    lowest: float
    highest: float


#: By product and name, the points in order.
Curves: TypeAlias = Mapping[tuple[str, str], list[Point]]


def read(files: Iterable[Path]) -> Curves:
    """The curves of all runs in *files*, which may be of one scenario or database each."""
    values: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
    for file in files:
        for product, measured in json.loads(file.read_text())["databases"].items():
            for run in measured["runs"]:
                for name, value in run.items():
                    if (place := place_of(name)) is not None:
                        values[product, *place].append(value)
    curves: defaultdict[tuple[str, str], list[Point]] = defaultdict(list)
    for (product, name, at), found in sorted(values.items()):
        curves[product, name].append(Point(at, median(found), min(found), max(found)))
    return curves
