"""What ``celers queue stats`` and ``celers dlq stats`` show: counts by name, age and error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from celers_worker.cli.output import Column, age, note, show_document, show_table

if TYPE_CHECKING:
    from celers_worker.store.figures import Ages, DeadCount, NameCount

_NAMES = (
    Column("QUEUE"),
    Column("NAME"),
    Column("PENDING", right=True),
    Column("SCHEDULED", right=True),
    Column("BLOCKED", right=True),
    Column("PROCESSING", right=True),
    Column("DEAD", right=True),
)
_AGES = (
    Column("QUEUE"),
    Column("UNDER 1m", right=True),
    Column("1m TO 5m", right=True),
    Column("5m TO 15m", right=True),
    Column("15m TO 1h", right=True),
    Column("OLDER", right=True),
)

_DEAD = (
    Column("DEAD", right=True),
    Column("NAME"),
    Column("ERROR", cut=True),
    Column("RUNS", right=True),
    Column("FIRST"),
    Column("LAST"),
)


def show_names(found: Sequence[NameCount], style: str) -> None:
    """Print the counts of each queue by the names of its tasks."""
    _show(_NAMES, found, style, "No task is live or dead.")


def show_ages(found: Sequence[Ages], style: str) -> None:
    """Print how long the due tasks of each queue have been waiting."""
    _show(_AGES, found, style, "No task is due.")


def show_dead(found: Sequence[DeadCount], style: str) -> None:
    """Print the counts of dead tasks by name and kind of error."""
    if style == "json":
        show_document([asdict(one) for one in found])
    elif found:
        show_table(
            _DEAD,
            [
                (
                    f"{one.count:,}",
                    one.name,
                    one.error,
                    f"{one.average_runs:.1f}",
                    age(one.first_failed_at),
                    age(one.last_failed_at),
                )
                for one in found
            ],
        )
    else:
        note("No task is dead.")


def _show(
    columns: Sequence[Column],
    found: Sequence[NameCount] | Sequence[Ages],
    style: str,
    otherwise: str,
) -> None:
    documents = [asdict(one) for one in found]
    if style == "json":
        show_document(documents)
    elif documents:
        show_table(
            columns,
            [
                tuple(f"{v:,}" if isinstance(v, int) else str(v) for v in document.values())
                for document in documents
            ],
        )
    else:
        note(otherwise)
