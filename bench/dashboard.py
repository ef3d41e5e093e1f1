"""``python -m bench.dashboard``: draw the panels of config/grafana/celers.json, of a real worker.

Three minutes of mixed work on PostgreSQL, by two processes; one of them is killed after two. A real
Prometheus scrapes them and answers the dashboard's own queries.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.mixed import app, render, send
from bench.plots import STYLE
from celers_worker.config import load_config
from celers_worker.store import make_direct_store, migrate
from tests.processes import children
from tests.prometheus import Prometheus, filled_in, free_port, prometheus
from tests.servers import PostgresServer

ROOT = Path(__file__).parents[1]
SECONDS, KILLED_AFTER = 180.0, 120.0
#: Grafana's names of units.
UNITS = {"short": "", "none": "", "ops": "a second", "percent": "%"}
#: Of a figure, in columns and inches.
COLUMNS, WIDTH, HEIGHT = 4, 3.2, 2.0


class Panel(NamedTuple):
    """A panel with data: what it is called, its unit, and a name with points for each line."""

    title: str
    unit: str
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]


def main() -> int:
    """Work, ask, draw, and return an exit code."""
    program = shutil.which("prometheus")
    if program is None:
        print("There is no prometheus here: run `make servers`.", file=sys.stderr)
        return 1
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        url = server.create_database("celers_dashboard")
        with make_direct_store(url) as store:
            migrate.upgrade(store)
        panels = asyncio.run(_watch(url, program, Path(folder)))
    file = ROOT / "docs" / "plots" / "dashboard.png"
    with mpl.rc_context(STYLE):
        _draw(panels).savefig(file, dpi=110)
    print(file.relative_to(ROOT))
    return 0


async def _watch(url: str, program: str, folder: Path) -> list[Panel]:
    app.client.config = load_config(environment={}, flags={"database.url": url}).config
    port = free_port()
    worker = _worker(url, port)
    alerts = ROOT / "config" / "prometheus" / "alerts.yml"
    try:
        with prometheus(program, folder, port, alerts=alerts) as server:
            since = time.time()
            await _work(worker.pid)
            return [panel async for panel in _panels(server, since, time.time())]
    finally:
        worker.send_signal(signal.SIGTERM)
        await asyncio.to_thread(worker.wait, 60)
        await app.close()


def _worker(url: str, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "celers_worker", "worker", "-A", "bench.mixed:app"),
            *("--processes", "2", "--concurrency", "20", "--metrics-port", str(port)),
        ],
        cwd=ROOT,
        env={**os.environ, "CELERS_DATABASE_URL": url, "CELERS_WORKER_LEASE": "10s"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _work(supervisor: int) -> None:
    """Enqueue in waves, and kill a process on the way."""
    began, killed = time.monotonic(), False
    while (past := time.monotonic() - began) < SECONDS:
        wave = (1 + math.sin(past / 12)) / 2
        await app.enqueue_many(send.call(wave=wave) for _ in range(int(40 + 160 * wave)))
        await app.enqueue_many(render.call() for _ in range(4 + int(14 * wave)))
        if past > KILLED_AFTER and not killed:
            killed = True
            os.kill(children(supervisor)[0], signal.SIGKILL)
        await asyncio.sleep(0.5)


async def _panels(server: Prometheus, since: float, until: float) -> Any:
    dashboard = json.loads((ROOT / "config" / "grafana" / "celers.json").read_text())
    for panel in dashboard["panels"]:
        if panel["type"] != "timeseries":
            continue
        lines = []
        for target in panel["targets"]:
            query = filled_in(target["expr"], "10s")
            for series in await server.course(query, since, until, step=1.0):
                points = [(at - since, float(value)) for at, value in series["values"]]
                name = _named(target.get("legendFormat", ""), series["metric"])
                lines.append((name, [point for point in points if math.isfinite(point[1])]))
        lines = [line for line in lines if line[1]]
        if lines:
            yield Panel(panel["title"], panel["fieldConfig"]["defaults"].get("unit", ""), lines)


def _named(legend: str, labels: Mapping[str, str]) -> str:
    """The legend of a line, as Grafana fills it in."""
    for label, text in labels.items():
        legend = legend.replace("{{" + label + "}}", text)
    return legend


def _draw(panels: Sequence[Panel]) -> Figure:
    rows = math.ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(COLUMNS * WIDTH, rows * HEIGHT))
    places: Any = figure.subplots(rows, COLUMNS, squeeze=False)
    for place, panel in zip(places.flat, panels, strict=False):
        _draw_panel(place, panel)
    for place in places.flat[len(panels) :]:
        place.set_visible(False)
    return figure


def _draw_panel(place: Axes, panel: Panel) -> None:
    for name, points in panel.lines:
        place.plot(*zip(*points, strict=True), label=name[:18], linewidth=1.2)
    unit = UNITS.get(panel.unit, panel.unit)
    place.set_title(f"{panel.title}, {unit}" if unit else panel.title, fontsize=9)
    place.set_xlim(0, SECONDS)
    place.set_ylim(bottom=0)
    place.tick_params(labelsize=7)
    if len(panel.lines) <= 6:  # more cannot be told apart in so small a picture
        place.legend(fontsize=6, loc="upper left", frameon=False)


if __name__ == "__main__":
    sys.exit(main())
