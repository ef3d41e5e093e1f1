"""Deadlines of calls that block their thread: one more thread ends what takes too long."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Curfew:
    """Calls what it was told to call, unless the block ends before.

    One thread for all, which mostly sleeps: a timer's own would cost each call a tenth of a
    millisecond.
    """

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a fork has no threads, but may a lock

    def _begin(self) -> None:
        self._ends: dict[object, tuple[float, Callable[[], None]]] = {}
        self._changed = threading.Condition()
        self._wakes = math.inf
        self._thread: threading.Thread | None = None

    @contextmanager
    def after(self, seconds: float, cut: Callable[[], None]) -> Iterator[None]:
        """Call *cut*, in another thread, when the block takes longer."""
        who, end = object(), time.monotonic() + seconds
        with self._changed:
            self._ends[who] = (end, cut)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="celers-curfew", daemon=True)
                self._thread.start()
            elif end < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._ends.pop(who, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                late = [who for who, (end, _) in self._ends.items() if end <= now]
                for who in late:
                    _, cut = self._ends.pop(who)
                    with suppress(Exception):  # what it would cut is closed already
                        cut()
                self._wakes = min((end for end, _ in self._ends.values()), default=math.inf)
                self._changed.wait(None if self._wakes == math.inf else self._wakes - now)


CURFEW = Curfew()
