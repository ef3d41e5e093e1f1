"""The alerts and the dashboard ask for metrics that are really exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from celers_worker.core import events as fact
from celers_worker.core.events import Events
from celers_worker.core.pulse import Beat, Permit, Pool, Pulse
from celers_worker.observe.combined import CombinedMetrics
from celers_worker.observe.gauges import PulseGauges
from celers_worker.observe.metrics import Metrics

REPOSITORY = Path(__file__).parents[2]
ALERTS = REPOSITORY / "config" / "prometheus" / "alerts.yml"
DASHBOARD = REPOSITORY / "config" / "grafana" / "celers.json"
DOCS = REPOSITORY / "docs" / "operations"
_NAME = re.compile(r"\bcelers_\w+")


def exported() -> dict[str, Any]:
    """Every family that a worker or a supervisor exports, by its name."""
    events = Events()
    metrics = Metrics(events)
    gauges = PulseGauges()
    gauges.pulses = [
        Pulse(
            worker="w",
            pid=1,
            state="running",
            loops=[Beat("poller", 1.0)],
            permits=[Permit("total", "", 1, 2)],
            lease_left=1.0,
            database_latency=1.0,
            pool=Pool(1, 1, 1),
        )
    ]
    metrics.registry.register(gauges)
    events.emit(fact.QueuesCounted({"q": 0}, {}, {}, 0, 1))
    combined = CombinedMetrics(events)
    text = generate_latest(metrics.registry) + generate_latest(combined.registry)
    families = text_string_to_metric_families(text.decode())
    return {family.name: family for family in families if not family.name.endswith("_created")}


def names() -> set[str]:
    """What a query may ask for."""
    found: set[str] = set()
    for name, family in exported().items():
        match family.type:
            case "counter":
                found.add(f"{name}_total")
            case "histogram":
                found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
            case _:
                found.add(name)
    return found


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def queries() -> dict[str, str]:
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


@pytest.mark.parametrize("place", queries())
def test_a_query_asks_for_what_is_exported(place: str) -> None:
    query = queries()[place]
    asked = {*_NAME.findall(query)}
    assert asked, query
    assert asked <= names()


def test_every_alert_has_what_a_person_needs() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert {*rule["annotations"]} == {"summary", "description"}, rule["alert"]


def test_every_alert_is_explained() -> None:
    text = (DOCS / "alerts.md").read_text()
    explained = re.findall(r"^## (Celers\w+)$", text, flags=re.MULTILINE)
    assert explained == [rule["alert"] for rule in rules()]


def test_every_metric_is_explained_and_none_that_there_is_not() -> None:
    text = (DOCS / "metrics.md").read_text()
    explained = {*re.findall(r"^\| `(celers_\w+)`", text, flags=re.MULTILINE)}
    with_totals = {
        f"{name}_total" if family.type == "counter" else name for name, family in exported().items()
    }
    # What counts by the task's name is explained with what counts by the queue.
    assert explained == {name for name in with_totals if not name.endswith("_by_type_total")}


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here: apt-get install prometheus")
    for arguments in (
        ["check", "rules", str(ALERTS)],
        ["check", "config", str(ALERTS.with_name("prometheus.yml"))],
        ["test", "rules", str(Path(__file__).with_name("alerts_test.yml"))],
    ):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["title"] == "Celers"
    assert dashboard["uid"] == "celers"
    [source] = dashboard["__inputs"]
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(identities) == len({*identities})
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        assert panel["description"], panel["title"]
        box = panel["gridPos"]
        assert box["x"] + box["w"] <= 24, panel["title"]
