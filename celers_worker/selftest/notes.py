"""Notes: lines in one file that all processes of a selftest write to; a kill takes none away."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

#: Set by ``begin``; a process without notes is none of a selftest's.
_file: int | None = None


def begin(path: str) -> None:
    """Let this process write to *path* from now on."""
    global _file
    _file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(line: str) -> None:
    """Write *line*, in one call, so that those of several processes do not mix."""
    if _file is not None:
        os.write(_file, f"{line}\n".encode())


class Notebook:
    """The whole lines of the file, read as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._lines: list[str] = []
        self._words: defaultdict[tuple[str, ...], list[list[str]]] = defaultdict(list)

    @property
    def lines(self) -> list[str]:
        """All there are by now; one that is being written is not."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole, end, _ = file.read().rpartition(b"\n")
            self._read += len(whole) + len(end)
            self._take(whole.decode().splitlines())
        return self._lines

    def said(self, *beginning: object) -> list[list[str]]:
        """The words that follow *beginning*, one or two words, in each line that begins so."""
        self.lines  # noqa: B018 - reads
        return self._words.get(tuple(map(str, beginning)), [])

    def _take(self, lines: list[str]) -> None:
        self._lines += lines
        for line in lines:
            words = line.split()
            self._words[tuple(words[:1])].append(words[1:])
            self._words[tuple(words[:2])].append(words[2:])
