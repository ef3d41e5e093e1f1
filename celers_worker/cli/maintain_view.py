"""What ``celers maintain`` shows: sizes, partitions, duties."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from celers_worker.cli.output import Column, age, note, show_document, show_table

if TYPE_CHECKING:
    from celers_worker.store.sizes import Partition, TableSize
    from celers_worker.store.upkeep import Duty

_SIZES = (
    Column("TABLE"),
    Column("ROWS", right=True),
    Column("DATA", right=True),
    Column("INDEXES", right=True),
    Column("DEAD OR FREE", right=True),
)
_PARTITIONS = (
    Column("PARTITION"),
    Column("DAY"),
    Column("ROWS", right=True),
    Column("SIZE", right=True),
    Column("DROPPED"),
)
_DUTIES = (Column("DUTY"), Column("DONE"), Column("DUE"), Column("HELD BY"))


def show_sizes(found: Sequence[TableSize], style: str) -> None:
    """Print a line for each table."""
    if style == "json":
        show_document(
            [
                {
                    "table": one.name,
                    "rows": one.rows,
                    "data_bytes": one.data_bytes,
                    "index_bytes": one.index_bytes,
                    "dead_or_free": one.spare,
                }
                for one in found
            ]
        )
        return
    show_table(
        _SIZES,
        [
            (
                one.name,
                f"{one.rows:,}",
                _bytes(one.data_bytes),
                _bytes(one.index_bytes),
                "" if one.spare is None else f"{one.spare:,}",
            )
            for one in found
        ],
    )


def show_partitions(found: Sequence[Partition], style: str) -> None:
    """Print a line for each partition."""
    if style == "json":
        show_document(
            [
                {
                    "partition": one.name,
                    "day": one.day,
                    "rows": one.rows,
                    "bytes": one.bytes,
                    "dropped_after": one.dropped_after,
                }
                for one in found
            ]
        )
        return
    if not found:
        note("No partitions: only PostgreSQL's archive has them. Elsewhere rows are deleted.")
        return
    today = datetime.now(UTC).date()
    show_table(
        _PARTITIONS,
        [
            (
                one.name,
                "any other" if one.day is None else f"{one.day}{_ahead(one.day > today)}",
                f"{one.rows:,}",
                _bytes(one.bytes),
                "never" if one.dropped_after is None else f"after {one.dropped_after}",
            )
            for one in found
        ],
    )


def show_duties(found: Sequence[Duty], style: str) -> None:
    """Print a line for each duty, and who has the upkeep."""
    if style == "json":
        show_document(
            [
                {
                    "duty": one.name,
                    "done_at": one.done_at,
                    "due_at": one.due_at,
                    "holder": one.holder,
                    "held_until": one.expires_at,
                }
                for one in found
            ]
        )
        return
    if not found:
        note("No worker has done any upkeep yet. Start one: celers worker")
        return
    show_table(
        _DUTIES,
        [(one.name, age(one.done_at), age(one.due_at), one.holder or "") for one in found],
    )


def _ahead(ahead: bool) -> str:
    return " (ahead)" if ahead else ""


def _bytes(number: int | None) -> str:
    if number is None:
        return ""
    size = float(number)
    for unit in ("B", "kB", "MB"):
        if size < 1_000:
            return f"{size:.0f} {unit}"
        size /= 1_000
    return f"{size:,.1f} GB"
