"""A TCP relay before a database server, which can lose an answer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit


class Relay:
    """Passes everything on, until it is told to lose an answer and cut the connection."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._marks: list[bytes] = []
        self._port = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        user, _, _ = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    def lose_the_answer_after(self, *marks: bytes) -> None:
        """Once a client has sent these, one after the other, cut it off before the answer."""
        self._marks = list(marks)

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
                if self._lost_with(data):
                    losing.set()
                to_server.write(data)
                await to_server.drain()

        async def answer() -> None:
            while data := await server.read(65536):
                if losing.is_set():
                    return  # the server has answered, so it has done what was asked
                to_client.write(data)
                await to_client.drain()

        directions = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            for writer in (to_client, to_server):
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    def _lost_with(self, data: bytes) -> bool:
        while self._marks and (at := data.find(self._marks[0])) >= 0:
            data = data[at + len(self._marks.pop(0)) :]
            if not self._marks:
                return True
        return False
