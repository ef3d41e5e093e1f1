"""Long work: in batches, with progress on a terminal, ended by Ctrl-C between two commits."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any

from celers_worker.cli.output import printable

#: Tasks in one transaction.
BATCH = 500


class Brake:
    """Notes the first Ctrl-C, so that a batch is finished; the second one interrupts it."""

    def __init__(self) -> None:
        self.pulled = False

    def __enter__(self) -> Brake:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *details: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pulled:
            raise KeyboardInterrupt
        self.pulled = True


def in_batches(step: Callable[[int], int], *, total: int, words: str) -> bool:
    """Call *step* with the size of a batch until it did nothing or *total* are done.

    *step* returns how many tasks it dealt with. Returns False if Ctrl-C ended the work.
    """
    done = 0
    with Brake() as brake, progress(words, total) as advance:
        while done < total:
            if brake.pulled:
                return False
            dealt_with = step(min(BATCH, total - done))
            if not dealt_with:
                break
            done += dealt_with
            advance(dealt_with)
    return True


def counting(words: str) -> AbstractContextManager[Callable[[int], None]]:
    """Progress without an end in sight, on a terminal; call it with how many more are done."""
    if not (sys.stderr and sys.stderr.isatty()):
        return nullcontext(lambda number: None)
    return bar(words, None)


def progress(words: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """How far the work is, on a terminal and if there is much of it: to be called as it is done."""
    if total <= BATCH or not (sys.stderr and sys.stderr.isatty()):
        return nullcontext(lambda number: None)
    return bar(words, total)


@contextmanager
def bar(words: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; called with how much more is done."""
    from rich import progress as rich

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=_stderr(), transient=True) as progress:
        bar = progress.add_task(words, total=total)
        yield lambda number: progress.advance(bar, number)


@contextmanager
def waiting(words: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr with the time that has passed; called with what is known by now."""
    from rich import progress as rich

    columns = (
        rich.SpinnerColumn(),
        rich.TextColumn("{task.description}", markup=False),
        rich.TimeElapsedColumn(),
    )
    with rich.Progress(*columns, console=_stderr(), transient=True) as progress:
        line = progress.add_task(words, total=None)
        yield lambda known: progress.update(line, description=printable(f"{words}: {known}"))


def _stderr() -> Any:
    from rich.console import Console

    # rich knows NO_COLOR too, but keeps what is bold.
    options: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    return Console(stderr=True, **options)
