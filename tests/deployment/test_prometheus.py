"""A real Prometheus scrapes a real worker, and answers what the dashboard and the alerts ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celers_worker import Celers, Worker
from celers_worker.services import crew
from tests.deployment.test_monitoring import ALERTS, queries
from tests.processes import kill_tree
from tests.services.crews import configured
from tests.waiting import eventually

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


@contextlib.contextmanager
def prometheus(program: str, folder: Path, scraped: int | None) -> Iterator[Prometheus]:
    """A server that scrapes the port *scraped*."""
    file, port = folder / "prometheus.yml", free_port()
    file.write_text(CONFIGURATION.format(alerts=ALERTS, port=scraped))
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


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_prometheus_understands_all_that_it_is_given(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no prometheus here: apt-get install prometheus")
    monkeypatch.setattr(crew, "_SURVEY", 0.05)
    app = Celers()

    @app.task(queue="emails")
    async def send() -> None: ...

    worker = Worker(app, configured(migrated_url, metrics__port=0))
    async with worker:
        await app.enqueue_many([send.call() for _ in range(20)])
        with prometheus(program, tmp_path, worker.metrics_port) as server:
            await eventually(lambda: has_scraped(server), within=60)
            [up] = await server.series("up")
            assert up["value"][1] == "1"
            for place, query in queries().items():
                plain = re.sub(r"\$__rate_interval", "1m", query).replace("$queue", ".*")
                assert isinstance(await server.series(plain), list), place
            await eventually(lambda: has_looked_at_the_alerts(server), within=30)
    await app.close()


async def has_scraped(server: Prometheus) -> bool:
    try:
        found = await server.series('celers_tasks_completed_total{queue="emails"}')
    except OSError:
        return False  # it is still starting
    return [one["value"][1] for one in found] == ["20"]


async def has_looked_at_the_alerts(server: Prometheus) -> bool:
    [group] = (await server.ask("rules"))["groups"]
    return all(rule["health"] == "ok" for rule in group["rules"])
