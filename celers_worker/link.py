"""Link: the socket between a supervisor and one of its worker processes.

The supervisor says only that it is the worker's turn to begin. The worker says when it works, and
then, every second, how it is and what it has counted. That the socket ends tells it that its
supervisor is gone, however that died: nobody else holds that side, for Python closes it in whatever
is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Self

#: ``place:descriptor``; the supervisor sets it for a process that it starts.
VARIABLE = "_CELERS_PROCESS"
#: ``id how``: the worker that this process replaces, and how it ended.
PREDECESSOR = "_CELERS_PREDECESSOR"
#: What the supervisor says.
TURN = b"\n"
#: What a message of the worker is: that it works; that an operator has ended it; the id that it
#: works under, whenever that changes; a snapshot of what it counts; its pulse.
READY, LEAVING, IDENTITY, COUNTS, PULSE = b"r", b"l", b"i", b"c", b"p"

#: Snapshots are this far apart, in seconds: a process killed by -9 loses so much of its counts.
_INTERVAL = 1.0
#: How long the last message may take, in seconds: the supervisor may be frozen.
_FAREWELL = 1.0
_LENGTH = struct.Struct("!I")


class Link:
    """The worker's side. ``place`` counts the processes of a supervisor from 1.

    ``predecessor``: the id of the worker that this one replaces, and how it ended.
    """

    def __init__(
        self, place: int, end: socket.socket, predecessor: tuple[str, str] | None = None
    ) -> None:
        self.place = place
        self.predecessor = predecessor
        self._end = end
        self._writer: asyncio.StreamWriter | None = None

    @classmethod
    def inherited(cls) -> Self | None:
        """The link to the supervisor that started this process; None if there is none.

        What this process starts in turn gets none.
        """
        text = os.environ.pop(VARIABLE, None)
        if text is None:
            return None
        place, descriptor = map(int, text.split(":"))
        os.set_inheritable(descriptor, False)
        worker, _, how = os.environ.pop(PREDECESSOR, "").partition(" ")
        predecessor = (worker, how) if worker else None
        return cls(place, socket.socket(fileno=descriptor), predecessor)

    def await_turn(self) -> bool:
        """Block until the supervisor lets this process begin; False: it is gone."""
        return self._end.recv(1) == TURN

    @contextlib.asynccontextmanager
    async def held(
        self, *, on_lost: Callable[[], None], report: Callable[[], Mapping[bytes, bytes]]
    ) -> AsyncIterator[None]:
        """A block in which *on_lost* is called if the supervisor goes, and the messages that
        *report* returns, by their kinds, are sent to it, again and again and at the end.
        """
        reader, writer = await asyncio.open_unix_connection(sock=self._end)
        self._writer = writer
        watching = asyncio.create_task(_watch(reader, on_lost))
        reporting = asyncio.create_task(self._report(report))
        try:
            yield
        finally:
            watching.cancel()
            reporting.cancel()
            for kind, body in report().items():
                self._send(kind, body)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await writer.wait_closed()

    def tell_ready(self) -> None:
        """Say that the worker works."""
        self._send(READY)

    def tell_leaving(self) -> None:
        """Say that the worker ends because somebody wants it gone, so that none takes its place."""
        self._send(LEAVING)

    def tell_identity(self, worker: str) -> None:
        """Say under which id the worker works from now on."""
        self._send(IDENTITY, worker.encode())

    async def _report(self, report: Callable[[], Mapping[bytes, bytes]]) -> None:
        last: dict[bytes, bytes] = {}
        while True:
            await asyncio.sleep(_INTERVAL)
            # One that does not read, because it is frozen, need not cost memory.
            if self._writer and not self._writer.transport.get_write_buffer_size():
                for kind, body in report().items():
                    if body != last.get(kind) or kind == PULSE:  # silence would mean it is frozen
                        self._send(kind, body)
                    last[kind] = body

    def _send(self, kind: bytes, body: bytes = b"") -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(kind + _LENGTH.pack(len(body)) + body)


async def _watch(reader: asyncio.StreamReader, on_lost: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        await reader.read()
    on_lost()


async def messages(end: socket.socket) -> AsyncIterator[tuple[bytes, bytes]]:
    """The supervisor's side: what the worker at the other end says, until it is gone."""
    reader, writer = await asyncio.open_unix_connection(sock=end)
    try:
        while True:
            kind = await reader.readexactly(1)
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            yield kind, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return
    finally:
        writer.close()
