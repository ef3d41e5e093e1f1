"""From a stream into a queue: an item, a task; in batches, whatever the length of the stream.

    await app.pipe(rows, send_welcome)                      # {"user_id": 1} -> by name
    await app.pipe(ids(), send_welcome, progress=print)     # 1 -> the first argument
    await app.pipe(calls(), send_welcome)                   # send_welcome.with_(…).call(…) as it is

A thousand tasks are written at once while the next thousand are read, so two thousand are in memory
at most. A stream that pauses does not hold back what it has brought: after *linger* a batch goes as
it is. With *wait* a full queue is waited for so long before QueueFull is raised.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from celers_worker.app.client import Client
from celers_worker.app.declared import Call
from celers_worker.core.duration import Duration, parse_duration
from celers_worker.core.errors import QueueFull
from celers_worker.core.task import Enqueued, NewTask

R = TypeVar("R")

#: Tasks that go to the database at a time.
BATCH = 1_000
#: Between two attempts at a full queue, in seconds.
_PAUSE = 0.2


async def written_meanwhile(
    source: AsyncIterable[list[NewTask]],
    write: Callable[[list[NewTask]], Coroutine[Any, Any, R]],
) -> list[R]:
    """What *write* returned for each batch of *source*: it writes one while the next is made.

    Whatever ends it, what is being written is waited for; a cancellation cancels that too.
    """
    written: list[R] = []
    writing: asyncio.Task[R] | None = None
    try:
        async for batch in source:
            if writing is not None:
                written.append(await writing)
            writing = asyncio.create_task(write(batch), name="celers-writing")
            await asyncio.sleep(0)  # a source that never waits lets it begin
        if writing is not None:
            written.append(await writing)
    except BaseException as error:  # raised again
        if writing is not None:
            if isinstance(error, asyncio.CancelledError):
                writing.cancel()
            await asyncio.wait({writing})
        raise
    return written


@dataclass(frozen=True, slots=True)
class Piped:
    """How many tasks were added, and for how many items a task with their unique key existed."""

    added: int = 0
    existing: int = 0

    def and_(self, batch: Iterable[Enqueued]) -> Piped:
        """These and those of *batch*."""
        existing = [one.existing for one in batch]
        return Piped(self.added + existing.count(False), self.existing + existing.count(True))


class Pipe:
    """Reads a stream and enqueues; an error ends it, and what was written stays written."""

    def __init__(
        self,
        client: Client,
        call: Callable[..., Call[Any]],
        *,
        linger: Duration,
        wait: Duration,
        progress: Callable[[Piped], None] | None,
    ) -> None:
        self._client = client
        self._call = call
        self._linger = parse_duration(linger, name="linger").total_seconds()
        self._wait = parse_duration(wait, name="wait").total_seconds()
        self._progress = progress
        self._piped = Piped()

    async def drain(self, source: Iterable[Any] | AsyncIterable[Any]) -> Piped:
        """Enqueue all of *source*. Raises PayloadError for a bad item before its batch is written.

        *progress* is told after each batch.
        """
        await written_meanwhile(self._batches(source), self._write)
        return self._piped

    async def _batches(
        self, source: Iterable[Any] | AsyncIterable[Any]
    ) -> AsyncIterator[list[NewTask]]:
        if not isinstance(source, AsyncIterable):
            for batch in batches_sync(map(self._called, source)):
                yield batch
            return
        # Called as they come, for ids are made then, and tell the order.
        calls = (self._called(item) async for item in source)
        async for ready in _lingering(calls, BATCH, self._linger):
            yield [call.task for call in ready]

    def _called(self, item: Any) -> Call[Any]:
        match item:
            case Call():
                return item
            case Mapping():
                return self._call(**item)
            case _:
                return self._call(item)

    async def _write(self, batch: list[NewTask]) -> None:
        end = time.monotonic() + self._wait
        while True:
            try:
                added = await self._client.enqueue(batch)
            except QueueFull:
                if time.monotonic() >= end:
                    raise
                await asyncio.sleep(_PAUSE)
                continue
            break
        self._piped = self._piped.and_(added)
        if self._progress is not None:
            self._progress(self._piped)


async def _lingering(
    source: AsyncIterable[Call[Any]], size: int, linger: float
) -> AsyncIterator[list[Call[Any]]]:
    """Lists of up to *size* items; a shorter one when *linger* seconds passed since its first."""
    items = aiter(source)
    coming: asyncio.Future[Call[Any]] | None = None
    batch: list[Call[Any]] = []
    first = 0.0
    try:
        while True:
            if coming is None:
                coming = asyncio.ensure_future(anext(items))
            left = None if not batch else max(0.0, first + linger - time.monotonic())
            await asyncio.wait({coming}, timeout=left)
            if coming.done():
                try:
                    item = coming.result()
                except StopAsyncIteration:
                    break
                finally:
                    coming = None
                first = first if batch else time.monotonic()
                batch.append(item)
            if batch and (len(batch) == size or time.monotonic() >= first + linger):
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming


async def batches(
    calls: Iterable[Call[Any]] | AsyncIterable[Call[Any]],
) -> AsyncIterator[list[NewTask]]:
    """The tasks of *calls*, a thousand at a time."""
    if not isinstance(calls, AsyncIterable):
        for batch in batches_sync(calls):
            yield batch
        return
    batch = []
    async for call in calls:
        batch.append(call.task)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def batches_sync(calls: Iterable[Call[Any]]) -> Iterator[list[NewTask]]:
    """``batches`` without an event loop."""
    left = iter(calls)
    while batch := [call.task for call in itertools.islice(left, BATCH)]:
        yield batch
