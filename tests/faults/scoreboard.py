"""The scoreboard: what was done to the worker, and what came of it.

Each test notes what it did in a file, a line each, so that tests in several processes share it.
``python -m tests.faults.scoreboard NOTES [DOCUMENT]`` adds the lines up.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from celers_worker.selftest.evidence import Verdict

DATABASES = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}
#: What is promised, in seconds: the lease and the reap interval; and after an outage.
AFTER_DEATH, AFTER_OUTAGE = "a worker's death", "the database's return"


class Scoreboard:
    """Where tests note what they did; without a file, nowhere."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def injected(self, kind: str, database: str, count: int = 1) -> None:
        """Faults of one kind were injected."""
        if count:
            self._note(what="injected", kind=kind, database=database, count=count)

    def judged(self, database: str, verdict: Verdict) -> None:
        """The checker has come to a verdict."""
        counts = {
            name: getattr(verdict, name)
            for name in ("tasks", "completed", "lost", "double_settled", "reruns", "unknown_found")
        }
        self._note(what="judged", database=database, problems=len(verdict.problems), **counts)

    def recovered(self, after: str, seconds: float, *, bound: float) -> None:
        """Work went on so long after a fault; *bound* is what was promised."""
        self._note(what="recovered", after=after, seconds=round(seconds, 2), bound=bound)

    def _note(self, **line: Any) -> None:
        if self._file is None:
            return
        file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, json.dumps(line).encode() + b"\n")
        os.close(file)


def table(lines: Iterable[Mapping[str, Any]]) -> str:
    """The lines added up, as Markdown."""
    faults: defaultdict[str, Counter[str]] = defaultdict(Counter)
    verdicts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    recoveries: defaultdict[tuple[str, float], list[float]] = defaultdict(list)
    for line in lines:
        match line["what"]:
            case "injected":
                faults[line["kind"]][line["database"]] += line["count"]
            case "judged":
                verdicts[line["database"]].update(
                    {
                        name: value
                        for name, value in line.items()
                        if name not in ("what", "database")
                    }
                )
            case "recovered":
                recoveries[line["after"], line["bound"]].append(line["seconds"])
    total = sum(count for by_database in faults.values() for count in by_database.values())
    rows = [
        "| fault | " + " | ".join(DATABASES.values()) + " |",
        "| --- |" + " ---: |" * len(DATABASES),
        *(
            f"| {kind} | " + " | ".join(_shown(faults[kind][name]) for name in DATABASES) + " |"
            for kind in sorted(faults)
        ),
        f"\n{total:,} faults were injected.\n",
        "| database | tasks | completed | lost | settled twice | unexplained "
        "| run again, explained | enqueued without an answer, and there |",
        "| --- |" + " ---: |" * 7,
        *(
            f"| {title} | " + " | ".join(f"{verdicts[name][count]:,}" for count in _COUNTS) + " |"
            for name, title in DATABASES.items()
            if name in verdicts
        ),
        "",
        "| work went on after | settings promise | times | longest |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {after} | {bound:g} s | {len(seconds)} | {max(seconds):.1f} s |"
            for (after, bound), seconds in sorted(recoveries.items())
        ),
    ]
    return "\n".join(rows) + "\n"


_COUNTS = (
    *("tasks", "completed", "lost", "double_settled", "problems"),
    *("reruns", "unknown_found"),
)
_BEGIN, _END = "<!-- scoreboard -->", "<!-- end of the scoreboard -->"


def _shown(count: int) -> str:
    return f"{count:,}" if count else "-"


def write(document: Path, board: str) -> None:
    """Put *board* into the document, in the place of the last one."""
    before, _, rest = document.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    document.write_text(f"{before}{_BEGIN}\n\n{board}\n{_END}{after}")


def main(notes: str, document: str | None = None) -> None:
    """Print the scoreboard, and put it into *document*."""
    lines = [json.loads(line) for line in Path(notes).read_text().splitlines()]
    board = table(lines)
    sys.stdout.write(board)
    if document is not None:
        write(Path(document), board)


if __name__ == "__main__":
    main(*sys.argv[1:])
