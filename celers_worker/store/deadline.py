"""Deadlines that hold even when the server is frozen and the driver does not let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
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


@contextmanager
def cut_after(seconds: float, cut: Callable[[], None]) -> Iterator[None]:
    """Call *cut* when the block takes longer, and raise Unavailable for whatever it raises then.

    For a driver whose calls end at once when their connection is cut, as asyncpg's do: it costs a
    timer, where ``bounded`` costs a task.
    """
    passed = False

    def end() -> None:
        nonlocal passed
        passed = True
        cut()

    timer = asyncio.get_running_loop().call_later(seconds, end)
    try:
        yield
    except Exception as error:  # raised again, as what the deadline made of it
        if passed:
            raise _too_late(seconds) from error
        raise
    finally:
        timer.cancel()


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
