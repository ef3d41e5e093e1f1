"""Deadlines that hold even when the server is frozen and the driver does not let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from celers_worker.core.errors import Unavailable

T = TypeVar("T")

#: After its connection was cut, a driver gets so many seconds to notice before it is left behind.
_AFTERMATH = 1.0


async def bounded(
    work: Coroutine[Any, Any, T], seconds: float, *, abandon: Callable[[], None]
) -> T:
    """Await *work*, at most *seconds*; then call *abandon*, which cuts its connection.

    ``asyncio.wait_for`` will not do: it waits for the cancelled driver, which may wait for the
    server, and on Python 3.11 it can lose a cancellation. Cancelling this coroutine cancels the
    work and waits for it, as long as the deadline allows.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _end(task, abandon)
        raise
    if not task.done():
        await _end(task, abandon)
        raise _too_late(seconds)
    return task.result()


class Deadline:
    """A block in which *cut* is called when it takes longer; then it raises Unavailable.

    For one block at a time, whose driver ends its calls at once when their connection is cut, as
    asyncpg's does. One timer serves block after block: to set one for each took a tenth of a lone
    enqueue.
    """

    def __init__(self, seconds: float, cut: Callable[[], None]) -> None:
        self._seconds = seconds
        self._cut = cut
        self._ends: float | None = None
        self._passed = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._passed = False
        self._ends = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(self._ends, self._look, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._ends = None
        if self._passed and isinstance(error, Exception):
            raise _too_late(self._seconds) from error

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._ends is None:
            return
        if loop.time() < self._ends:  # it is another block's by now
            self._timer = loop.call_at(self._ends, self._look, loop)
            return
        self._passed = True
        self._cut()


def _too_late(seconds: float) -> Unavailable:
    return Unavailable(f"the database did not answer within {seconds:g} s.")


async def _end(task: asyncio.Task[Any], abandon: Callable[[], None]) -> None:
    task.add_done_callback(_consume)
    task.cancel()
    await asyncio.wait({task}, timeout=0.05)
    if not task.done():
        abandon()
        await asyncio.wait({task}, timeout=_AFTERMATH)


def _consume(task: asyncio.Task[Any]) -> None:
    """Look at the result nobody waits for, so that asyncio does not complain of it."""
    if not task.cancelled():
        task.exception()
