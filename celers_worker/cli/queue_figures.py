"""What ``celers queue stats`` shows beside the counts by state: by name, and by age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from celers_worker.cli.output import Column, note, show_document, show_table

if TYPE_CHECKING:
    from celers_worker.store.figures import Ages, NameCount

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


def show_names(found: Sequence[NameCount], style: str) -> None:
    """Print the counts of each queue by the names of its tasks."""
    _show(_NAMES, found, style, "No task is live or dead.")


def show_ages(found: Sequence[Ages], style: str) -> None:
    """Print how long the due tasks of each queue have been waiting."""
    _show(_AGES, found, style, "No task is due.")


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
