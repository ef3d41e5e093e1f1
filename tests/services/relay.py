"""A TCP relay before a database server, which can lose an answer or hold a question back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit


class Relay:
    """Passes everything on, until it is told otherwise about what carries some mark."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._lost: list[bytes] = []
        self._late: bytes | None = None
        self._arrive = asyncio.Event()
        self.holds = asyncio.Event()
        """Set when a question is being held back."""
        self._port = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        user, _, _ = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    def lose_the_answer_after(self, *marks: bytes) -> None:
        """Once a client has sent these, one after the other, cut it off before the answer."""
        self._lost = list(marks)

    def hold_back(self, mark: bytes) -> None:
        """Keep what a client sends with *mark* in it, though the client may not wait for it."""
        self._late = mark

    def let_arrive(self) -> None:
        """Pass on what was held back."""
        self._arrive.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for serving in self._serving:
            serving.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(client, to_client))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        losing = asyncio.Event()

        async def ask() -> None:
            while data := await client.read(65536):
                if self._late is not None and self._late in data:
                    self._late = None
                    self.holds.set()
                    await self._arrive.wait()
                if self._lost_with(data):
                    losing.set()
                to_server.write(data)
                await to_server.drain()

        async def answer() -> None:
            while data := await server.read(65536):
                if losing.is_set():
                    return  # the server has answered, so it has done what was asked
                with contextlib.suppress(OSError):
                    to_client.write(data)
                    await to_client.drain()

        directions = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await _close(to_client, to_server)

    def _lost_with(self, data: bytes) -> bool:
        while self._lost and (at := data.find(self._lost[0])) >= 0:
            data = data[at + len(self._lost.pop(0)) :]
            if not self._lost:
                return True
        return False


async def _close(*writers: asyncio.StreamWriter) -> None:
    """Close all of them before one is waited for: that may be cancelled."""
    for writer in writers:
        writer.close()
    for writer in writers:
        with contextlib.suppress(OSError):
            await writer.wait_closed()
