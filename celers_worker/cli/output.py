"""What commands print: tables for people, JSON for programs, notes beside them.

Text that comes from the database may hold anything, so all of it goes through ``printable``: an
escape in an error message must not reach the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

#: What is left for a column that may be cut, on the narrowest of terminals.
_NARROWEST = 12
#: Wider than every line: nothing is cut when no terminal is there.
_UNLIMITED = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; ``cut``: what does not fit the terminal is cut off."""

    title: str
    cut: bool = False
    right: bool = False


def format_option(function: Function) -> Function:
    """Add ``--format table|json`` to a command that shows something."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people or for programs.",
    )(function)


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* under the titles of *columns*; plain unless stdout is a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, no_wrap=not column.cut)
    for row in rows:
        table.add_row(*(Text(printable(cell), no_wrap=True, overflow="ellipsis") for cell in row))
    console = Console(highlight=False, no_color=False, **plain_options())
    is_wide = not console.is_terminal
    console.width = _UNLIMITED if is_wide else max(console.width, _least_width(columns, rows))
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip(), color=console.is_terminal)


def plain_options() -> dict[str, Any]:
    """Options of rich's console that leave out every escape if the person wants no colour."""
    return {"color_system": None} if os.environ.get("NO_COLOR") else {}


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """The width below which a column would be cut that must not be, such as an id."""
    from rich.cells import cell_len

    total = 0
    for index, column in enumerate(columns):
        cells = [column.title, *(printable(row[index]) for row in rows)]
        widest = max(cell_len(cell) for cell in cells)
        total += (min(widest, _NARROWEST) if column.cut else widest) + 2
    return total


def show_document(value: object) -> None:
    """Print one JSON document: instants as ISO 8601, ids as text."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(_ascii_controls(text))


def say(text: str) -> None:
    """Print a sentence that is the command's answer."""
    click.echo(printable(text))


def note(text: str) -> None:
    """Print a sentence beside the answer, to stderr."""
    click.echo(printable(text), err=True)


def printable(text: str) -> str:
    """Return *text* with escapes for all that could play with a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """``printable`` for text whose lines are kept."""
    return "\n".join(printable(line.expandtabs(4)) for line in text.splitlines())


def age(instant: datetime | None) -> str:
    """How long ago *instant* was, or in how much time it will be."""
    if instant is None:
        return ""
    seconds = (datetime.now(UTC) - instant).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def span(seconds: float) -> str:
    """A length of time for people, in whole seconds from one second up."""
    from celers_worker.core.duration import format_duration

    return format_duration(timedelta(seconds=round(seconds) if seconds >= 1 else seconds))


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def on_terminal() -> bool:
    """Whether a person sits there, who can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def _ascii_controls(text: str) -> str:
    """Escape what JSON lets pass and a terminal does not, as JSON escapes it."""
    return "".join(
        char if char.isprintable() or char == "\n" else _json_escaped(char) for char in text
    )


def _json_escaped(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
