"""A small HTTP server for probes and Prometheus: one GET a connection, and nothing else.

h11 parses, strictly and within a bound, for nothing is as often attacked as a parser of one's own.
Who is slow, talks nonsense or comes in crowds costs a socket for some seconds, and no memory worth
speaking of.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import h11

from celers_worker.core.errors import ConfigurationError

#: The bytes that a request may have, with its headers.
_REQUEST = 8 * 1024
_CHUNK = 1024
#: A request must have come, and its answer be taken, within so many seconds each.
_PATIENCE = 5.0
#: More connections at once are closed unanswered.
_CONNECTIONS = 64
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class HttpServer:
    """Answers ``GET path`` and ``HEAD path`` with what *answer* returns."""

    def __init__(
        self,
        answer: Callable[[str], Awaitable[Answer]],
        *,
        patience: float = _PATIENCE,
        connections: int = _CONNECTIONS,
    ) -> None:
        self._answer = answer
        self._patience = patience
        self._most = connections
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises ConfigurationError if that is not possible there."""
        try:
            self._server = await asyncio.start_server(
                self._connected, host, port, limit=_REQUEST, backlog=self._most
            )
        except (OSError, UnicodeError) as error:
            number = getattr(error, "errno", None)  # None: a name that nobody knows
            reason = os.strerror(number) if number and number > 0 else error
            raise ConfigurationError(
                f"metrics cannot be served on {host}:{port}: {reason}. "
                "Choose another port: --metrics-port or [metrics] port."
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end the connections that there are."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=self._patience)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._most:
            writer.transport.abort()
            return
        connection = asyncio.current_task()
        assert connection is not None, "a connection is served by a task"
        self._connections.add(connection)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            # It is gone, does not read, or we close. Python 3.11 would log the cancellation.
            writer.transport.abort()
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_REQUEST)
        body = True
        try:
            async with asyncio.timeout(self._patience):
                request = await _request(protocol, reader)
            if request is None:
                return
            body = request.method != b"HEAD"
            answer = _refusal(request) or await self._answered(request)
        except h11.RemoteProtocolError as error:
            answer = _plain(error.error_status_hint)
        except TimeoutError:
            answer = _plain(408)
        writer.write(_head(answer) + (answer.body if body else b""))
        async with asyncio.timeout(self._patience):
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            # What still comes is let pass: to close now would cut off the answer.
            await _pass_over(reader)

    async def _answered(self, request: h11.Request) -> Answer:
        path = request.target.partition(b"?")[0].decode("ascii", errors="replace")
        try:
            return await self._answer(path)
        except Exception:  # whoever asks for numbers must not end who works
            return _plain(500)


async def _request(protocol: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """Read a request; None: the other side has gone."""
    while True:
        event = protocol.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        protocol.receive_data(await reader.read(_CHUNK))


def _refusal(request: h11.Request) -> Answer | None:
    """Why a request is not answered, before anybody looks at its path."""
    headers = dict(request.headers)
    if request.http_version not in (b"1.0", b"1.1"):
        return _plain(400)
    if request.method not in (b"GET", b"HEAD"):
        return _plain(405)
    if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
        return _plain(413)
    return None


def _plain(status: int) -> Answer:
    return Answer(status, f"{_REASONS.get(status, 'Error')}\n".encode())


def _head(answer: Answer) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if answer.status == 405:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join([*lines, "", ""]).encode()


async def _pass_over(reader: asyncio.StreamReader) -> None:
    left = 64 * _REQUEST
    with contextlib.suppress(OSError):
        while left > 0 and (got := await reader.read(_REQUEST)):
            left -= len(got)
