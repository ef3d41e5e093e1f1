"""What commands print: tables for people, JSON for programs, notes beside them.

Text that comes from the database may hold anything, so all of it goes through ``printable``: an
escape in an error message must not reach the terminal.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

#: What is left for a column that may be cut, on the narrowest of terminals.
_NARROWEST = 12
_GAP = "  "


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
    """Print *rows* under the titles of *columns*; only a terminal's width cuts anything off."""
    from rich.cells import cell_len  # which knows that some letters take two cells

    lines = [[column.title for column in columns]]
    lines += [[printable(text) for text in row] for row in rows]
    widths = [max(map(cell_len, texts)) for texts in zip(*lines, strict=True)]
    if sys.stdout is not None and sys.stdout.isatty():
        widths = _fitted(columns, widths, shutil.get_terminal_size().columns)
    for number, texts in enumerate(lines):
        cells = map(_cell, texts, widths, [column.right for column in columns])
        line = _GAP.join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def _fitted(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Narrow the columns that may be cut until the table fits, or they can be no narrower."""
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    fitted = list(widths)
    for index, column in enumerate(columns):
        if column.cut and excess > 0:
            narrower = max(min(fitted[index], _NARROWEST), fitted[index] - excess)
            excess -= fitted[index] - narrower
            fitted[index] = narrower
    return fitted


def _cell(text: str, width: int, right: bool) -> str:
    from rich.cells import cell_len, set_cell_size

    free = width - cell_len(text)
    if free < 0:
        return f"{set_cell_size(text, width - 1)}…"
    return f"{' ' * free}{text}" if right else f"{text}{' ' * free}"


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
    from celers_worker.core.duration import format_seconds

    return format_seconds(seconds)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def on_terminal() -> bool:
    """Whether a person sits there, who can be asked."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def _ascii_controls(text: str) -> str:
    """Escape what JSON lets pass and a terminal does not, as JSON escapes it."""
    return "\n".join(
        line if line.isprintable() else "".join(map(_json_escaped, line))
        for line in text.split("\n")
    )


def _json_escaped(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
