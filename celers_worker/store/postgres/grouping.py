"""Enqueues of many callers at once, together in one statement and one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from celers_worker.core.errors import Unavailable
from celers_worker.core.task import NewTask
from celers_worker.store.values import CHUNK


class _Apart(Exception):
    """What was sent together was refused: send it again, each caller's own."""


@dataclass(slots=True, eq=False)
class _Waiting:
    tasks: Sequence[NewTask]
    written: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Grouping:
    """Writes what comes alone at once; what comes while it is under way goes together, next.

    So nobody waits for company, and a commit's wait for the disk is shared by all that came during
    the last one. A caller that is cancelled while it waits may still have its tasks written, as
    with any answer that nobody waits for.
    """

    def __init__(self, write: Callable[[Sequence[NewTask]], Awaitable[None]]) -> None:
        self._write = write
        self._under_way = False
        self._waiting: list[_Waiting] = []
        self._rest: asyncio.Task[None] | None = None

    async def add(self, tasks: Sequence[NewTask]) -> None:
        """Write *tasks*, and return when they are committed. Raises what the write raises."""
        if self._under_way:
            mine = _Waiting(tasks)
            self._waiting.append(mine)
            try:
                await mine.written
            except _Apart:
                await self._write(tasks)
            return
        self._under_way = True
        try:
            await self._write(tasks)
        finally:
            self._under_way = bool(self._waiting)
            if self._waiting:
                # Kept here, for the loop itself keeps tasks only weakly.
                self._rest = asyncio.create_task(self._write_rest(), name="celers-enqueues")
                self._rest.add_done_callback(self._leave)

    async def _write_rest(self) -> None:
        while self._waiting:
            await self._write_together(self._next())
        # Now, before those who were told can come again: nobody would write what they bring.
        self._under_way = False

    def _leave(self, rest: asyncio.Task[None]) -> None:
        if not rest.cancelled():
            return
        self._under_way = False
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            _tell(one, _failure(asyncio.CancelledError()))

    async def _write_together(self, group: Sequence[_Waiting]) -> None:
        error = None
        try:
            await self._write([task for waiting in group for task in waiting.tasks])
        except BaseException as raised:  # of every caller, whose it is
            error = raised
            if not isinstance(raised, Exception):
                raise
        finally:
            for waiting in group:
                _tell(waiting, None if error is None else _failure(error))

    def _next(self) -> Sequence[_Waiting]:
        """Those who came first, up to a thousand tasks."""
        count = size = 0
        for waiting in self._waiting:
            size += len(waiting.tasks)
            if count and size > CHUNK:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group


def _tell(waiting: _Waiting, error: Exception | None) -> None:
    if waiting.written.done():
        return  # it was cancelled
    if error is None:
        waiting.written.set_result(None)
    else:
        waiting.written.set_exception(error)


def _failure(error: BaseException) -> Exception:
    """What one of a group is told: each has an exception of its own, for each is raised."""
    if isinstance(error, Exception) and not isinstance(error, Unavailable):
        return _Apart()
    return Unavailable(str(error) or "it is not known whether the tasks were written.")
