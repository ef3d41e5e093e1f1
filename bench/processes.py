"""How much faster several worker processes are."""

from __future__ import annotations

from bench.database import NewDatabase
from bench.figures import Figures, point
from bench.passage import completions, pass_through

COUNTS = (1, 2, 4)
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
        figures[f"drain by {count} processes"] = rate
        figures[point("drain by processes", count)] = rate
    one = figures[f"drain by {COUNTS[0]} processes"]
    for count in COUNTS[1:]:
        figures[f"{count} processes, ratio of speed to one"] = (
            figures[f"drain by {count} processes"] / one
        )
    return figures
