"""The HTTP server among people who mean no good."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from celers_worker.observe.http import Answer, HttpServer
from tests.waiting import eventually

PATIENCE = 0.5
MOST = 8


async def echo(path: str) -> Answer:
    if path == "/broken":
        raise RuntimeError("secret")
    if path == "/large":
        return Answer(200, b"x" * 20_000_000)
    return Answer(200, path.encode())


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    server = HttpServer(echo, patience=PATIENCE, connections=MOST)
    await server.start("127.0.0.1", 0)
    yield server
    await server.close()


async def ask(server: HttpServer, request: bytes) -> tuple[int, bytes]:
    """Send *request* and return the status and everything after the head; 0: no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answer = b""
    try:
        writer.write(request)
        answer = await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def test_a_get_is_answered_and_a_head_without_a_body(server: HttpServer) -> None:
    assert await ask(server, get("/live?verbose=1")) == (200, b"/live")
    assert await ask(server, get("/live", method="HEAD")) == (200, b"")
    assert await ask(server, get("/live", version="1.0")) == (200, b"/live")
    assert await ask(server, get("//..%2fetc")) == (200, b"//..%2fetc")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x00\xff\xfe garbage \x16\x03\x01\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300, 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost : a\n\n", 400),
        (get("/", method="POST"), 405),
        (get("/", method="DELETE"), 405),
        (get("/", method="CONNECT"), 405),
        (get("/", "Content-Length: 5") + b"hello", 413),
        (get("/", "Content-Length: 99999999999999"), 413),
        (get("/", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n", 413),
        (get("/", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\nGET /x", 413),
        (get("/", "Content-Length: -1"), 400),
        (get("/" + "a" * 10_000), 431),
        (get("/", "X: " + "a" * 1_000_000), 431),
        (get("/", *(f"X-{n}: {n}" for n in range(2_000))), 431),
        (b"a" * 1_000_000, 431),
        (get("/broken"), 500),
    ],
)
async def test_nonsense_is_refused(server: HttpServer, request_bytes: bytes, status: int) -> None:
    found, body = await ask(server, request_bytes)
    assert found == status
    assert b"secret" not in body
    assert await ask(server, get("/live")) == (200, b"/live")


async def test_who_says_nothing_or_little_is_cut_off(server: HttpServer) -> None:
    assert await ask(server, b"") == (408, b"Request Timeout\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    async def drip() -> None:
        while not writer.is_closing():
            writer.write(b"G")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    dripping.cancel()
    writer.close()


async def test_a_crowd_is_turned_away_and_others_are_served_when_it_has_gone(
    server: HttpServer,
) -> None:
    crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10 * MOST)]
    turned_away = [reader for reader, _ in crowd[MOST:]]

    async def are_cut_off() -> bool:
        answers = await asyncio.gather(
            *(reader.read() for reader in turned_away), return_exceptions=True
        )
        return all(answer == b"" or isinstance(answer, OSError) for answer in answers)

    assert await are_cut_off()

    async def is_served() -> bool:
        return await ask(server, get("/live")) == (200, b"/live")

    await eventually(is_served)
    for _, writer in crowd:
        writer.close()


async def test_who_does_not_read_the_answer_is_cut_off(server: HttpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_024)
    writer.write(get("/large"))
    await eventually(lambda: server._connections)

    await eventually(lambda: not server._connections)

    assert await ask(server, get("/live")) == (200, b"/live")
    writer.transport.abort()
    del reader


async def test_floods_of_nonsense_cost_little_memory(server: HttpServer) -> None:
    await ask(server, get("/live"))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(20):
        await asyncio.gather(*(ask(server, b"a" * 300_000) for _ in range(MOST)))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1_000_000


async def test_closing_ends_connections_that_are_open() -> None:
    server = HttpServer(echo, patience=30)
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await eventually(lambda: server._connections)
    await server.close()
    assert await reader.read() == b""
    writer.close()
