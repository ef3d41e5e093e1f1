"""A real Prometheus, for the tests and for the picture of the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.processes import kill_tree

CONFIGURATION = """
global: {{ scrape_interval: 250ms, evaluation_interval: 250ms }}
rule_files: [{alerts}]
scrape_configs:
  - job_name: celers
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


class Prometheus:
    """The server at a port, by its API."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(self, path: str, **parameters: str) -> Any:
        """What it says to *path*. Raises OSError if it does not answer, or not with yes."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{query}"

        def fetch() -> Any:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]

        return await asyncio.to_thread(fetch)

    async def series(self, query: str) -> list[Any]:
        """What *query* finds now."""
        found: list[Any] = (await self.ask("query", query=query))["result"]
        return found

    async def course(self, query: str, since: float, until: float, step: float) -> list[Any]:
        """How what *query* finds went, between two times of the clock."""
        asked = {"query": query, "start": str(since), "end": str(until), "step": str(step)}
        found: list[Any] = (await self.ask("query_range", **asked))["result"]
        return found


def filled_in(query: str, interval: str) -> str:
    """A query of the dashboard without its variables."""
    return query.replace("$__rate_interval", interval).replace("$queue", ".*")


@contextlib.contextmanager
def prometheus(
    program: str, folder: Path, scraped: int | None, *, alerts: Path
) -> Iterator[Prometheus]:
    """A server that scrapes the port *scraped* four times a second."""
    file, port = folder / "prometheus.yml", free_port()
    file.write_text(CONFIGURATION.format(alerts=alerts, port=scraped))
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield Prometheus(port)
    finally:
        kill_tree(process)
