"""How much faster several worker processes are."""

from __future__ import annotations

from bench.database import NewDatabase
from bench.figures import Figures, point
from bench.passage import completions, pass_through

COUNTS = (1, 2, 4)
CURVE = "drain by processes"
#: As many times the tasks of other scenarios. The processes start one after the other, and end
#: when nothing is left: only the middle of the way shows them all at work.
TIMES, FROM, TO = 4, 0.4, 0.95


def processes(new_database: NewDatabase, tasks: int) -> Figures:
    """Drain with ``celers worker --processes N``."""
    total = TIMES * tasks
    first, last = int(total * FROM), int(total * TO)
    figures: dict[str, float] = {}
    for count in COUNTS:
        with new_database() as database:
            pass_through(database, total, "--processes", str(count))
            instants = completions(database.url)
        rate = (last - first) / (instants[last] - instants[first])
        figures[f"drain by {_named(count)}"] = rate
        figures[point(CURVE, count)] = rate
    one = figures[f"drain by {_named(1)}"]
    for count in COUNTS[1:]:
        ratio = figures[f"drain by {_named(count)}"] / one
        figures[f"{_named(count)}, ratio of speed to one"] = ratio
    return figures


def _named(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
