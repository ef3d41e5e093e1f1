"""A real Prometheus scrapes a real worker, and answers what the dashboard and the alerts ask."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from celers_worker import Celers, Worker
from celers_worker.services import crew
from tests.deployment.test_monitoring import ALERTS, queries
from tests.prometheus import Prometheus, filled_in, prometheus
from tests.services.crews import configured
from tests.waiting import eventually


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
        with prometheus(program, tmp_path, worker.metrics_port, alerts=ALERTS) as server:
            await eventually(lambda: has_scraped(server), within=60)
            [up] = await server.series("up")
            assert up["value"][1] == "1"
            for place, query in queries().items():
                assert isinstance(await server.series(filled_in(query, "1m")), list), place
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
