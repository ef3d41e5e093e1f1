"""What the demo shows at its end: every number is asked of the database."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

#: Dead tasks are shown in so many groups.
GROUPS = 8
#: What is added up over the results of all files.
MEASURES = ("bytes", "lines", "words", "functions", "classes", "imports")


class Ended(NamedTuple):
    """How many tasks have ended, and how."""

    completed: int
    dead: int


@dataclass(frozen=True, slots=True)
class Death:
    """Dead tasks that failed of the same kind of error, and one of their files."""

    count: int
    error: str
    message: str
    example: str


class Database:
    """The demo's database, read with plain SQL: it is only tables."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def close(self) -> None:
        self._connection.close()

    def progress(self) -> Ended:
        return Ended(
            self._number("SELECT count(*) FROM celers_task_archive WHERE state = 'completed'"),
            self._number("SELECT count(*) FROM celers_dead_letter_queue"),
        )

    def failed_attempts(self) -> int:
        return self._number("SELECT count(*) FROM celers_task_attempts")

    def completed_after_retry(self) -> int:
        return self._number("SELECT count(*) FROM celers_task_archive WHERE retry_count > 0")

    def seconds(self) -> float:
        """From the start of the first task to the end of the last one."""
        began_and_ended = """
            SELECT started_at, completed_at FROM celers_task_archive
            UNION ALL SELECT started_at, completed_at FROM celers_dead_letter_queue"""
        attempts = "SELECT started_at, failed_at FROM celers_task_attempts"
        query = f"""
            SELECT (julianday(max(completed_at)) - julianday(min(started_at))) * 86400.0
            FROM ({began_and_ended} UNION ALL {attempts})"""
        return float(self._connection.execute(query).fetchone()[0])

    def results(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The file of each completed task, and what its handler returned."""
        query = """
            SELECT payload, result FROM celers_task_archive
            JOIN celers_task_results ON task_id = celers_task_archive.id"""
        for payload, result in self._connection.execute(query):
            yield json.loads(payload)["path"], json.loads(result)

    def deaths(self) -> list[Death]:
        """The dead tasks by the kind of their last error, the most frequent first."""
        # With one min() and no max(), SQLite takes the other columns from the row that has it.
        query = """
            SELECT count(*), error_type, attempt.error_message, min(payload)
            FROM celers_dead_letter_queue dead
            JOIN celers_task_attempts attempt ON task_id = dead.id
            WHERE attempt.lease = dead.lease
            GROUP BY error_type ORDER BY 1 DESC, 2"""
        rows = self._connection.execute(query)
        return [
            Death(count, error, message, json.loads(payload)["path"])
            for count, error, message, payload in rows
        ]

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])


def summary(console: Console, database: Database, *, found_files: int) -> None:
    """Show what came of the run, what failed and what to try next."""
    console.print(_numbers(database, found_files))
    deaths = database.deaths()
    if deaths:
        console.print(_dead(deaths))
    console.print("\nTry next:")
    for command in next_commands():
        # As it must be typed: neither wrapped nor coloured.
        console.print(f"  {command}", soft_wrap=True)


def next_commands() -> list[str]:
    """What a person would type now, in this folder, with the program of this Python."""
    program = Path(sys.executable).with_name("celers")
    if program.is_file():
        celers = shlex.quote(_from_here(program))
    else:
        celers = f"{shlex.quote(_from_here(Path(sys.executable)))} -m celers_worker"
    return [
        f"export CELERS_DATABASE_URL={os.environ['CELERS_DATABASE_URL']}",
        f"{celers} task list",
        f"{celers} dlq list",
        f"{celers} dlq requeue --all",
    ]


def _numbers(database: Database, found_files: int) -> Table:
    completed, dead = database.progress()
    failed = database.failed_attempts()
    seconds = max(database.seconds(), 0.001)  # SQLite counts milliseconds
    sums, kinds, largest = _measured(database)
    table = Table(title="What the database says", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in {
        "files found": f"{found_files:,}",
        "tasks run": f"{completed + dead:,}",
        "completed": f"{completed:,}",
        "failed attempts": f"{failed:,}",
        "retried": f"{failed - dead:,}",
        "completed after a retry": f"{database.completed_after_retry():,}",
        "dead-lettered": f"{dead:,}",
    }.items():
        table.add_row(name, value)
    table.add_section()
    for kind, count in kinds.most_common():
        table.add_row(f"{kind} files read", f"{count:,}")
    for measure in MEASURES:
        table.add_row(measure, f"{sums[measure]:,}")
    table.add_row("largest file", largest)
    table.add_section()
    table.add_row("time", f"{seconds:.2f} s")
    table.add_row("tasks per second", f"{(completed + dead) / seconds:,.0f}")
    return table


def _measured(database: Database) -> tuple[Counter[str], Counter[str], str]:
    """Sums over all results, the number of files of each kind, and the largest of them."""
    sums: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    largest, name = -1, "none"
    for path, result in database.results():
        kinds[result["kind"]] += 1
        sums.update({measure: result.get(measure, 0) for measure in MEASURES})
        if result["bytes"] > largest:
            largest, name = result["bytes"], Path(path).name
    return sums, kinds, f"{name} ({largest:,} bytes)" if kinds else name


def _dead(deaths: list[Death]) -> Table:
    table = Table(title="Dead letters", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("tasks", "error", "one of them"):
        table.add_column(heading)
    for death in deaths[:GROUPS]:
        table.add_row(
            f"{death.count:,}", f"{death.error}: {death.message}", Path(death.example).name
        )
    left = sum(death.count for death in deaths[GROUPS:])
    if left:
        table.add_row(f"{left:,}", "of other errors", "")
    return table


def _from_here(path: Path) -> str:
    """As short as it can be typed in this folder. Not resolved: a venv's Python is a link."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
