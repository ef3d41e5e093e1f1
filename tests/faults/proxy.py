"""A TCP proxy in its own process, which does to connections what networks do.

    pass        forwards
    delay       forwards what the server says so many milliseconds late
    reset       ends every connection with an RST, and each new one at once
    black_hole  keeps the connections open and forwards nothing, nor ends what one side ended
    half_open   forwards what the client says, and nothing of what the server answers
    silent      accepts new connections and never says a word; the old ones go on
    drop_reply  forwards, and the reply to the request that holds a text (or to the nth request)
                never arrives: when the server has answered, the connection is reset. Once.

It imports nothing but the standard library, so it runs by its path.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

_RST = struct.pack("ii", 1, 0)
#: A reply that went on for so long without another byte is whole, in seconds.
_REST = 0.03


class Proxy:
    """The proxy as tests see it: it listens at ``port`` until the block ends."""

    def __init__(self, host: str, target: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), host, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port: int = self._answer()["port"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def mode(self, name: str, **details: Any) -> dict[str, Any]:
        """Behave so from now on; returns the counts of what was done until now."""
        return self._ask(mode=name, **details)

    @property
    def dropped(self) -> int:
        """How many replies it has dropped."""
        return int(self._ask()["dropped"])

    def _ask(self, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the proxy has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


# --- the other side: the process itself ---


class _Pair:
    """A connection through the proxy."""

    def __init__(self, proxy: _Process, client: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.swallowing = False
        self.swallowed: asyncio.TimerHandle | None = None

    async def run(self, reader: asyncio.StreamReader) -> None:
        if self.proxy.mode == "silent":
            await self.proxy.until_not("silent")
        if self.proxy.mode == "reset":
            self.cut()
            return
        answers, self.server = await asyncio.open_connection(*self.proxy.target)
        await asyncio.gather(
            self._carry(reader, self.server, from_client=True),
            self._carry(answers, self.client, from_client=False),
            return_exceptions=True,
        )

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        proxy = self.proxy
        try:
            while data := await reader.read(1 << 16):
                await proxy.until_not("black_hole")
                if from_client:
                    self._look(data)
                else:
                    await proxy.until_not("half_open")
                    if proxy.mode == "delay":
                        await asyncio.sleep(proxy.details["milliseconds"] / 1000)
                    if self.swallowing:
                        self._swallow()
                        continue
                writer.write(data)
                await writer.drain()
            await proxy.until_not("black_hole")
        except (ConnectionError, OSError):
            pass
        finally:
            if self.swallowing and self.swallowed is None:
                # It was a good-bye, which has no answer: the next request will do.
                self.swallowing = False
                proxy.set_mode("drop_reply", {"nth": 1})
            writer.close()

    def _look(self, data: bytes) -> None:
        """Whether this is the request whose answer will be lost."""
        proxy = self.proxy
        if proxy.mode != "drop_reply":
            return
        wanted = bytes.fromhex(proxy.details.get("text", ""))
        if wanted not in data:
            return
        proxy.details["nth"] -= 1
        if proxy.details["nth"] <= 0:
            proxy.set_mode("pass", {})
            self.swallowing = True

    def _swallow(self) -> None:
        if self.swallowed is not None:
            self.swallowed.cancel()
        self.swallowed = asyncio.get_running_loop().call_later(_REST, self._lost)

    def _lost(self) -> None:
        self.proxy.dropped += 1
        self.cut()

    def cut(self) -> None:
        """RST to the client, and an end for the server."""
        raw = self.client.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.client.transport.abort()
        if self.server is not None:
            self.server.transport.abort()


class _Process:
    """All connections, and how they are treated."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.mode = "pass"
        self.details: dict[str, Any] = {}
        self.dropped = 0
        self.pairs: set[_Pair] = set()
        self.changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def until_not(self, mode: str) -> None:
        """Wait while that is the mode."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.mode != mode)

    def set_mode(self, mode: str, details: dict[str, Any]) -> None:
        """Change it, and let who waits know."""
        self.mode, self.details = mode, details
        if mode == "reset":
            for pair in list(self.pairs):
                pair.cut()
        task = asyncio.create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(self, writer)
        self.pairs.add(pair)
        try:
            await pair.run(reader)
        except (OSError, asyncio.CancelledError):
            pair.cut()  # the server is away, or this is the end
        finally:
            self.pairs.discard(pair)


async def _main(arguments: Sequence[str]) -> None:
    proxy = _Process(arguments[0], int(arguments[1]))
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    _tell(port=server.sockets[0].getsockname()[1])
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while line := await orders.readline():
        order = json.loads(line)
        counts = {"dropped": proxy.dropped, "connections": len(proxy.pairs)}
        if mode := order.pop("mode", None):
            proxy.set_mode(mode, order)
        _tell(**counts)


def _tell(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
