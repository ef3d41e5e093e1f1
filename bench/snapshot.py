"""What a snapshot costs that another session holds open, as a nightly dump does."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

from bench.database import Database, NewDatabase
from bench.figures import Figures, point
from bench.passage import Passage, completions, pass_through

#: As many times the tasks of other scenarios go through, and so many points has the curve.
TIMES, POINTS = 4, 20
FREE, HELD = "no snapshot", "snapshot held"


def snapshot(new_database: NewDatabase, tasks: int) -> Figures:
    """Let tasks pass with and without a snapshot held open; speed over progress."""
    total = TIMES * tasks
    with new_database() as database:
        if not database.has_snapshots:
            return {}
        free, free_speeds = _pass(database, total, held=False)
    with new_database() as database:
        held, held_speeds = _pass(database, total, held=True)
    quarter = POINTS // 4
    first, last = _whole(held_speeds[:quarter]), _whole(held_speeds[-quarter:])
    figures = {
        f"drain of {total:,}": free.rate,
        f"drain of {total:,}, snapshot held": held.rate,
        "snapshot held, ratio of speed": held.rate / free.rate,
        "snapshot held, ratio of CPU": held.cpu / free.cpu,
        "snapshot held, ratio of the last quarter to the first": last / first,
    }
    step = total // POINTS
    for name, speeds in ((FREE, free_speeds), (HELD, held_speeds)):
        figures |= {point(name, (at + 1) * step): speed for at, speed in enumerate(speeds)}
    return figures


def _pass(database: Database, tasks: int, *, held: bool) -> tuple[Passage, list[float]]:
    """The passage, and the speed of each part of it."""
    meanwhile = database.snapshot if held else nullcontext
    passage = pass_through(database, tasks, meanwhile=meanwhile)
    instants = completions(database.url)
    step = tasks // POINTS
    ends = [0.0, *(instants[end - 1] for end in range(step, tasks + 1, step))]
    return passage, [step / (after - before) for before, after in pairwise(ends)]


def _whole(speeds: list[float]) -> float:
    """The speed over parts of the same length."""
    return len(speeds) / sum(1 / speed for speed in speeds)
