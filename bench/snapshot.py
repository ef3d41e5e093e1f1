"""What a snapshot costs that another session holds open, as a nightly dump does."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

from bench.database import Database, NewDatabase
from bench.figures import Figures, point
from bench.passage import completions, pass_through

#: As many times the tasks of other scenarios go through, and so many points has the curve.
TIMES, POINTS = 4, 20
FREE, HELD = "no snapshot", "snapshot held"


def snapshot(new_database: NewDatabase, tasks: int) -> Figures:
    """Let tasks pass with and without a snapshot held open; speed over progress."""
    total = TIMES * tasks
    with new_database() as database:
        if not database.has_snapshots:
            return {}
        free = _curve(database, total, held=False)
    with new_database() as database:
        held = _curve(database, total, held=True)
    quarter = POINTS // 4
    figures = {
        f"drain of {total:,}": _whole(free),
        f"drain of {total:,}, snapshot held": _whole(held),
        "snapshot held, ratio of speed": _whole(held) / _whole(free),
        "snapshot held, ratio of the last quarter to the first": (
            _whole(held[-quarter:]) / _whole(held[:quarter])
        ),
    }
    step = total // POINTS
    for name, curve in ((FREE, free), (HELD, held)):
        figures |= {point(name, (at + 1) * step): speed for at, speed in enumerate(curve)}
    return figures


def _curve(database: Database, tasks: int, *, held: bool) -> list[float]:
    """The speed of each part of the way."""
    pass_through(database, tasks, meanwhile=database.snapshot if held else nullcontext)
    instants = completions(database.url)
    step = tasks // POINTS
    ends = [0.0, *(instants[end - 1] for end in range(step, tasks + 1, step))]
    return [step / (after - before) for before, after in pairwise(ends)]


def _whole(speeds: list[float]) -> float:
    """The speed over parts of the same length."""
    return len(speeds) / sum(1 / speed for speed in speeds)
