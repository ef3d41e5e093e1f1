"""The TOML file: found, read within bounds, and searched for the line of a key."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from celers_worker.config.tables import Readers
from celers_worker.core.errors import ConfigurationError

LARGEST = 1_048_576
PYPROJECT = "pyproject.toml"

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEY})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_KEY})\s*=")
_ALREADY_SET = re.compile(r"overwrite|twice|mutate|duplicate", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's configuration. ``name`` is the path as it was given."""

    name: str
    content: Mapping[str, Any]
    readers: Readers = Readers.OWNER
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    root: tuple[str, ...] = ()

    def where(self, *path: str) -> str:
        """Return ``celers.toml:4``, the line of *path* or else of the table it is in."""
        full = self.root + path
        for length in range(len(full), 0, -1):
            if line := self.lines.get(full[:length]):
                return f"{self.name}:{line}"
        return self.name


def header(*path: str) -> str:
    """Return ``[queues.emails]`` or ``[handlers."shop.pay"]``: a table's header as TOML has it."""
    return f"[{'.'.join(_written(part) for part in path)}]"[:200]


def _written(part: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", part):
        return part
    # repr escapes all that could play with a terminal, JSON only some of it.
    return msgspec.json.encode(part).decode() if part.isprintable() else repr(part)


def find_document(
    file: Path | None, environment: Mapping[str, str], directory: Path
) -> Document | None:
    """Return the file given, or the one CELERS_CONFIG names, or one of *directory*, or None.

    Raises ConfigurationError if the file cannot be used. *directory* is where relative paths start.
    """
    if file is not None:
        return _read_document(directory / file, str(file))
    if (named := environment.get("CELERS_CONFIG")) is not None:
        if not named.strip():
            raise ConfigurationError("CELERS_CONFIG is empty: name a file, or unset it.")
        return _read_document(directory / named, named, "CELERS_CONFIG: ")
    # lexists: a link that leads nowhere is a mistake to report, not the absence of a file.
    if os.path.lexists(directory / "celers.toml"):
        return _read_document(directory / "celers.toml", "celers.toml")
    if os.path.lexists(directory / PYPROJECT):
        return _read_pyproject(directory / PYPROJECT)
    return None


def read_text(path: Path, name: str, given_by: str = "") -> tuple[str, int]:
    """Return a file's text and its mode.

    Raises ConfigurationError unless it is a regular file of at most 1 MiB in UTF-8. It is not
    opened before that is known: opening a FIFO would wait for ever.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise ConfigurationError(f"{given_by}{name} is {kind}: name a file.")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{given_by}{name} does not exist.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{given_by}{name} cannot be read: {reason}.") from None
    if len(data) > LARGEST:
        raise ConfigurationError(f"{given_by}{name} is over 1 MiB: that is no configuration.")
    try:
        return data.decode("utf-8-sig"), status.st_mode
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{given_by}{name}:{line}: not UTF-8: save the file as UTF-8."
        ) from None


def _read_document(path: Path, name: str, given_by: str = "") -> Document:
    text, mode = read_text(path, name, given_by)
    return Document(
        name=name,
        content=_parse(text, name),
        readers=_readers(mode),
        lines=_lines(text),
    )


def _read_pyproject(path: Path) -> Document | None:
    text, mode = read_text(path, PYPROJECT)
    if "celers" not in text:
        return None  # Not ours, so its mistakes are not ours to report.
    tool = _parse(text, PYPROJECT).get("tool")
    if not isinstance(tool, dict) or "celers" not in tool:
        return None
    root = ("tool", "celers")
    lines = _lines(text)
    content = tool["celers"]
    if not isinstance(content, dict):
        where = Document(PYPROJECT, {}, lines=lines).where(*root)
        raise ConfigurationError(f"{where}: tool.celers must be a table: [tool.celers.worker].")
    return Document(PYPROJECT, content, _readers(mode), lines, root)


def _readers(mode: int) -> Readers:
    if os.name != "posix":  # there the bits say nothing about who can read
        return Readers.OWNER
    if mode & stat.S_IROTH:
        return Readers.EVERYBODY
    return Readers.GROUP if mode & stat.S_IRGRP else Readers.OWNER


def _parse(text: str, name: str) -> dict[str, Any]:
    import tomllib  # 12 ms, and most commands of a bare machine have no file

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(f"{name} is nested too deeply to be read.") from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
    except ValueError:  # from int() or datetime(), which name no line
        message = "a number or a date is out of range"
    place = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = (place[1] or text.rstrip().count("\n") + 1) if place else None
    where = f"{name}:{line}" if line else name
    reason = message[: place.start()] if place else message
    hint = " (it is already set above: remove one)" if _ALREADY_SET.search(reason) else ""
    raise ConfigurationError(f"{where}: not valid TOML: {reason}{hint}.")


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of every table and key, by a scan that multi-line strings can mislead."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            table = path = tuple(_parts(header[1]))
        elif assignment := _ASSIGNMENT.match(line):
            path = (*table, *_parts(assignment[1]))
        else:
            continue
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], number)
    return found


def _parts(key: str) -> Iterator[str]:
    for part in re.findall(_PART, key):
        yield part[1:-1] if part[0] in "\"'" else part
