"""Whose backoff counts: the deployment's for a handler, its own, the queue's, the worker's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from celers_worker import Celers, backoff
from celers_worker.config import load_config
from celers_worker.core.errors import ConfigurationError

SETTINGS = """
[worker]
backoff = "fixed(1s)"
[queues.slow]
backoff = "fixed(2s)"
[handlers.told]
backoff = "fixed(4s)"
"""


def app_with(folder: Path, settings: str) -> Celers:
    (folder / "celers.toml").write_text(settings)
    app = Celers()
    app.client.config = load_config(environment={}, directory=folder).config

    @app.task(backoff=backoff.fixed("3s"))
    def own() -> None: ...

    @app.task(backoff=backoff.fixed("3s"))
    def told() -> None: ...

    @app.task()
    def plain() -> None: ...

    return app


def delay(app: Celers, name: str, queue: str) -> timedelta:
    handler = app.registry.get(name)
    assert handler is not None
    return app.client.configured(handler).retry.delay(1, ValueError(), queue)


@pytest.mark.parametrize(
    ("name", "queue", "seconds"),
    [
        ("plain", "default", 1),
        ("plain", "slow", 2),
        ("own", "default", 3),
        ("own", "slow", 3),
        ("told", "slow", 4),
    ],
)
def test_the_nearest_backoff_counts(tmp_path: Path, name: str, queue: str, seconds: int) -> None:
    assert delay(app_with(tmp_path, SETTINGS), name, queue) == timedelta(seconds=seconds)


def test_without_any_it_is_exponential(tmp_path: Path) -> None:
    assert delay(app_with(tmp_path, ""), "plain", "default") <= timedelta(seconds=2)


@pytest.mark.parametrize("wrong", ['"exponental(2s)"', "5", '"fixed"'])
def test_a_wrong_one_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"celers\.toml:2.*worker\.backoff"):
        app_with(tmp_path, f"[worker]\nbackoff = {wrong}\n")
