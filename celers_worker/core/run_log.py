"""The log of one run: what its handler wrote, bounded, to be kept with its task."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from celers_worker.core.context import Context

#: A longer line is cut: it is one event, not a document.
LINE_LIMIT = 4_000


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line: when by the worker's clock, in seconds since 1970, how important, and what."""

    at: float
    level: str
    text: str


class Written(msgspec.Struct, frozen=True):
    """The log of a run as it is stored: its first lines and its last ones."""

    first: Sequence[Line]
    last: Sequence[Line]
    dropped: int
    """How many lines between them were not kept."""

    @property
    def total(self) -> int:
        """How many lines the handler wrote."""
        return len(self.first) + self.dropped + len(self.last)


class RunLog:
    """At most so many lines and bytes, half for the first and half for the last. Thread-safe.

    The first lines tell what a run began with, the last ones what it failed of.
    """

    def __init__(self, *, lines: int, size: int) -> None:
        self._lock = threading.Lock()
        self._first: list[Line] = []
        self._last: deque[Line] = deque()
        self._dropped = 0
        self._room = size // 2
        self._last_size = 0
        self._lines = lines
        self._size = size - size // 2
        self._first_is_full = False

    def add(self, at: float, level: str, text: str) -> None:
        """Keep a line; what it does not leave room for is dropped, from the middle."""
        line = Line(at, level, _storable(text))
        length = len(line.text.encode())
        with self._lock:
            if (
                not self._first_is_full
                and len(self._first) < self._lines - self._lines // 2
                and length <= self._room
            ):
                self._first.append(line)
                self._room -= length
                return
            self._first_is_full = True
            self._last.append(line)
            self._last_size += length
            while self._last and (
                len(self._last) > self._lines // 2 or self._last_size > self._size
            ):
                self._last_size -= len(self._last.popleft().text.encode())
                self._dropped += 1

    def written(self) -> Written:
        """What is kept of it now."""
        with self._lock:
            return Written(tuple(self._first), tuple(self._last), self._dropped)


#: What the code that looks was called by. A lane sets it once, for to set it for every run would
#: cost each of them; so a task that a handler starts and leaves behind may be taken for another's.
_whose: ContextVar[Callable[[], Context | None] | None] = ContextVar("celers_run", default=None)


def runs_here(context: Callable[[], Context | None]) -> None:
    """From now on what this asyncio task does is done for the run of *context*."""
    _whose.set(context)


def run_here() -> Context | None:
    """The run for which this code is executed, if it is for one."""
    whose = _whose.get()
    return None if whose is None else whose()


def _storable(text: str) -> str:
    """*text* without what no encoding has, cut to the limit."""
    cut = text if len(text) <= LINE_LIMIT else f"{text[: LINE_LIMIT - 1]}…"
    return cut.encode("utf-8", "backslashreplace").decode()
