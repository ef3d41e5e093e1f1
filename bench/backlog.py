"""Whether a drain is slower when more tasks wait."""

from __future__ import annotations

from bench.database import NewDatabase
from bench.figures import Figures, point
from bench.passage import pass_through

#: The tasks that wait, for each of those of other scenarios.
SHARES = (0.02, 0.2, 2, 20)
CURVE = "drain of a backlog"


def backlog(new_database: NewDatabase, tasks: int) -> Figures:
    """Drain backlogs from a fiftieth to twentyfold."""
    figures = {}
    for share in SHARES:
        waiting = round(share * tasks)
        with new_database() as database:
            figures[f"drain of {waiting:,}"] = pass_through(database, waiting).rate
        figures[point(CURVE, waiting)] = figures[f"drain of {waiting:,}"]
    return figures
