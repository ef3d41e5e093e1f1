"""A circuit is declared in code, and the deployment may change it or turn it off."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from celers_worker import Celers
from celers_worker.circuit import Circuit, circuit
from celers_worker.config import load_config
from celers_worker.core.errors import ConfigurationError


def circuit_of(folder: Path, name: str, settings: str) -> Circuit | None:
    (folder / "celers.toml").write_text(f"[handlers.{name}]\n{settings}\n")
    app = Celers()
    app.client.config = load_config(environment={}, directory=folder).config
    guarded = app.defaults(circuit=circuit(7, rate=0.2, window="2m", rest="10s"))

    @guarded.task()
    def own() -> None: ...

    @app.task()
    def plain() -> None: ...

    handler = app.registry.get(name)
    assert handler is not None
    return app.client.configured(handler).circuit


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("own", "timeout = '5s'", circuit(7, rate=0.2, window="2m", rest="10s")),
        ("plain", "timeout = '5s'", None),
        ("plain", "circuit_rest = '5s'", None),
        ("plain", "circuit_failures = 3", circuit(3)),
        ("plain", "circuit_failures = 3\ncircuit_rate = 90", circuit(3, rate=0.9)),
        ("own", "circuit_rest = '5s'", circuit(7, rate=0.2, window="2m", rest="5s")),
        ("own", "circuit_window = '1h'", circuit(7, rate=0.2, window="1h", rest="10s")),
        ("own", "circuit_failures = 0", None),
    ],
)
def test_what_is_configured_goes_before_the_code(
    tmp_path: Path, name: str, settings: str, expected: Circuit | None
) -> None:
    assert circuit_of(tmp_path, name, settings) == expected


@pytest.mark.parametrize(
    "wrong", ["circuit_failures = -1", "circuit_rate = 0", 'circuit_rest = "0s"']
)
def test_a_circuit_that_cannot_be_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"celers\.toml:2.*handlers\.own\.circuit"):
        circuit_of(tmp_path, "own", wrong)


def test_a_number_is_enough() -> None:
    app = Celers()

    @app.task(circuit=3)
    def work() -> None: ...

    assert work.handler.circuit == Circuit(3, 0.5, timedelta(minutes=1), timedelta(seconds=30))


def test_what_the_document_shows_is_declared_and_configured(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/operations/control.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [settings] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    (tmp_path / "celers.toml").write_text(settings)
    app = names["app"]
    assert names["refund"].handler.circuit == names["charge"].handler.circuit
    app.client.config = load_config(environment={}, directory=tmp_path).config
    configured = app.client.configured(names["charge"].handler).circuit
    assert configured == circuit(10, rate=0.8, rest="2m")
