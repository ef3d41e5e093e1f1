"""``celers health --live``: a worker is asked, not the database."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.shell import celers


@contextlib.contextmanager
def answering(status: int, text: str) -> Iterator[int]:
    """A server that says *text*, and the port of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.encode()
            self.send_response(status if self.path == "/live" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("CELERS_METRICS_HOST", "0.0.0.0")


def test_a_worker_whose_loops_move_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, "ok\n") as port:
        monkeypatch.setenv("CELERS_METRICS_PORT", str(port))
        answer = celers("health", "--live", "--format", "json")
    assert answer.code == 0
    assert answer.json["checks"] == [
        {"name": "worker", "ok": True, "found": "ok", "limit": "every loop moves"}
    ]


def test_a_worker_with_a_loop_that_stands_still_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(503, "w: poller is stuck\n") as port:
        monkeypatch.setenv("CELERS_METRICS_PORT", str(port))
        answer = celers("health", "--live")
    assert answer.code == 1
    assert "w: poller is stuck" in answer.out


def test_no_worker_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, "ok") as port:
        pass
    monkeypatch.setenv("CELERS_METRICS_PORT", str(port))
    answer = celers("health", "--live", "--timeout", "2s")
    assert answer.code == 1
    assert "does not answer" in answer.out


def test_without_a_port_it_is_wrong_usage_and_says_what_to_set() -> None:
    answer = celers("health", "--live")
    assert answer.code == 2
    assert "CELERS_METRICS_PORT" in answer.err
