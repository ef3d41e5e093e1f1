"""The Dockerfile, Compose and Kubernetes examples: read, for there is no engine here."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import text

from celers_worker.cli import main
from celers_worker.config import load_config
from celers_worker.store import make_direct_store
from tests.services.crews import new_task

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs" / "deployment"
Document = dict[str, Any]


# --- the Dockerfile ---


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, what follows), with its continued lines joined."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    return [(name.upper(), rest) for name, rest in pairs]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


def the(stage: list[tuple[str, str]], name: str) -> str:
    [found] = [rest for one, rest in stage if one == name]
    return found


def test_every_instruction_is_one_that_docker_knows() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL"}
    known |= {"HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions()} <= known


def test_what_is_copied_is_there() -> None:
    for name, rest in stages()[0]:
        if name == "COPY":
            *sources, _ = shlex.split(rest)
            assert all((REPOSITORY / source).exists() for source in sources), rest


def test_the_image_has_no_compiler_and_builds_nothing() -> None:
    build, image = stages()
    assert the(build, "FROM").endswith(" AS build")
    assert the(image, "FROM").endswith("-slim")
    for name, rest in image:
        if name == "RUN":
            assert not re.search(r"\b(gcc|apt-get|build-essential|pip|make)\b", rest), rest
    assert the(image, "COPY").startswith("--from=build ")


def test_it_runs_as_a_number_that_is_not_roots() -> None:
    *_, image = stages()
    names = [name for name, _ in image]
    assert int(the(image, "USER")) >= 10_000
    assert f"--uid {the(image, 'USER')} " in the(image, "RUN")
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_signals_reach_the_worker_for_no_shell_is_in_between() -> None:
    *_, image = stages()
    assert json.loads(the(image, "ENTRYPOINT")) == ["celers"]
    assert json.loads(the(image, "CMD")) == ["worker"]
    assert the(image, "STOPSIGNAL") == "SIGTERM"


def test_the_health_check_is_a_command_that_there_is() -> None:
    *_, image = stages()
    _, _, command = the(image, "HEALTHCHECK").partition("CMD ")
    program, *arguments = json.loads(command)
    assert program == "celers"
    environment = dict(pair.split("=", 1) for pair in shlex.split(the(image, "ENV")))
    assert "CELERS_METRICS_PORT" in environment
    done = CliRunner().invoke(main, [*arguments, "--help"])
    assert done.exit_code == 0, done.output


def test_no_secret_is_in_a_layer() -> None:
    assert not re.search(
        r"(?i)password|secret|DATABASE_URL", (REPOSITORY / "Dockerfile").read_text()
    )


# --- Compose ---


@pytest.fixture(scope="module")
def compose() -> Document:
    found: Document = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
    return found


def test_compose_has_a_database_a_migration_a_worker_and_prometheus(compose: Document) -> None:
    services = compose["services"]
    assert services.keys() == {"postgres", "migrate", "worker", "prometheus"}
    assert services["worker"]["depends_on"]["migrate"] == {
        "condition": "service_completed_successfully"
    }
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_compose_names_only_what_it_has(compose: Document) -> None:
    for name, service in compose["services"].items():
        needed = service.get("depends_on", [])
        assert {*needed} <= compose["services"].keys(), name
        assert {*service.get("secrets", [])} <= compose["secrets"].keys()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (EXAMPLES / source).exists(), volume
            else:
                assert source in compose["volumes"], volume


@pytest.mark.parametrize("name", ["migrate", "worker"])
def test_our_containers_may_write_nowhere_and_gain_nothing(compose: Document, name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) >= 10_000
    assert "postgres" not in json.dumps(service["environment"]), "the URL comes as a secret"


def test_compose_sets_what_celers_knows_and_waits_longer_than_the_worker(
    compose: Document,
) -> None:
    worker = compose["services"]["worker"]
    environment = {
        key: text for key, text in worker["environment"].items() if "DATABASE" not in key
    }
    config = load_config(environment=environment).config
    assert (config.metrics.host, config.metrics.port) == ("0.0.0.0", 9464)
    settings = config.worker
    patience = int(worker["stop_grace_period"].removesuffix("s"))
    assert patience > (settings.grace + settings.cancel_grace).total_seconds()
    for name in ("migrate", "worker"):
        command = compose["services"][name]["command"]
        assert CliRunner().invoke(main, [*command, "--help"]).exit_code == 0
    assert not any("0.0.0.0" in port for port in compose["services"]["prometheus"]["ports"])


def test_prometheus_scrapes_the_worker_of_compose(compose: Document) -> None:
    folder = REPOSITORY / "config" / "prometheus"
    prometheus = yaml.safe_load((folder / "prometheus.yml").read_text())
    [job] = prometheus["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert host in compose["services"]
    assert port in compose["services"]["worker"]["expose"]
    assert all((folder / name).exists() for name in prometheus["rule_files"])


# --- Kubernetes ---


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Document]:
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))
    found = {document["kind"]: document for document in documents}
    assert len(found) == len(documents)
    return found


def pods(kubernetes: dict[str, Document]) -> Iterator[Document]:
    for kind in ("Job", "Deployment"):
        yield kubernetes[kind]["spec"]["template"]["spec"]


def test_kubernetes_has_a_deployment_a_migration_and_a_scaler(
    kubernetes: dict[str, Document],
) -> None:
    assert kubernetes.keys() == {
        *("ConfigMap", "Job", "Deployment", "TriggerAuthentication", "ScaledObject")
    }
    versions = {kind: document["apiVersion"] for kind, document in kubernetes.items()}
    assert versions["Deployment"] == "apps/v1"
    assert versions["Job"] == "batch/v1"
    assert versions["ScaledObject"] == "keda.sh/v1alpha1"


def test_no_pod_has_more_rights_than_it_needs(kubernetes: dict[str, Document]) -> None:
    for pod in pods(kubernetes):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_probes_ask_pages_that_there_are_at_the_configured_port(
    kubernetes: dict[str, Document], tmp_path: Path
) -> None:
    file = tmp_path / "celers.toml"
    file.write_text(kubernetes["ConfigMap"]["data"]["celers.toml"])
    config = load_config(file=file, environment={}).config
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [port] = container["ports"]
    assert port["containerPort"] == config.metrics.port
    assert config.metrics.host == "0.0.0.0", "the kubelet does not ask over loopback"
    asked = {kind: container[kind]["httpGet"] for kind in container if kind.endswith("Probe")}
    assert {kind: (get["path"], get["port"]) for kind, get in asked.items()} == {
        "startupProbe": ("/live", port["name"]),
        "livenessProbe": ("/live", port["name"]),
        "readinessProbe": ("/ready", port["name"]),
    }
    graces = config.worker.grace + config.worker.cancel_grace
    assert pod["terminationGracePeriodSeconds"] > graces.total_seconds()


def test_what_refers_to_something_refers_to_what_there_is(
    kubernetes: dict[str, Document],
) -> None:
    deployment, scaled = kubernetes["Deployment"], kubernetes["ScaledObject"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert scaled["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    [trigger] = scaled["triggers"]
    authentication = kubernetes["TriggerAuthentication"]
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert trigger["type"] == "postgresql"


def test_the_scalers_query_counts_what_is_due_and_what_runs(
    kubernetes: dict[str, Document], migrated_postgres: str
) -> None:
    query = kubernetes["ScaledObject"]["spec"]["triggers"][0]["metadata"]["query"]
    with make_direct_store(migrated_postgres) as direct:
        direct.enqueue([new_task(), new_task(), new_task(delay=timedelta(hours=1))])
        with direct.engine.connect() as connection:
            assert connection.execute(text(query)).scalar_one() == 2
