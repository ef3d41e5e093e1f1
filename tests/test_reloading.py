from __future__ import annotations

from typing import Any

from celers_worker.config import Config, load_config
from celers_worker.config.reloading import reload_of


def config(**flags: Any) -> Config:
    flags = {key.replace("__", "."): value for key, value in flags.items()}
    return load_config(environment={}, flags=flags).config


def test_what_has_not_changed_is_not_told() -> None:
    found = reload_of(config(), config())
    assert (found.changed, found.waiting) == ((), ())
    assert found.config == config()


def test_limits_levels_and_handlers_hold_at_once() -> None:
    new = config(
        worker__concurrency=7,
        worker__prefetch=3,
        worker__grace="1s",
        log__level="error",
        queues__emails__concurrency=2,
        handlers__send__timeout="3s",
    )
    found = reload_of(config(), new)
    assert found.config == new
    assert found.waiting == ()
    assert {"worker.concurrency", "log.level", "queues.emails.concurrency"} < {*found.changed}


def test_what_loops_and_connections_were_made_by_waits_for_a_restart() -> None:
    old = config(queues__emails__retention_dead="1d")
    new = config(
        database__url="postgresql://elsewhere/celers",
        worker__lease="90s",
        worker__processes=9,
        metrics__port=9464,
        log__format="json",
        retention__dead="2d",
        queues__emails__retention_dead="9d",
    )
    found = reload_of(old, new)
    assert found.config == old
    assert found.changed == ()
    assert found.waiting == (
        "database.url",
        "log.format",
        "metrics.port",
        "queues.emails.retention_dead",
        "retention.dead",
        "worker.lease",
        "worker.processes",
    )


def test_queues_to_serve_keep_their_names_and_take_new_limits() -> None:
    old = config(worker__queues=("a:1", "b"))
    limits = reload_of(old, config(worker__queues=("a:5", "b:2")))
    assert limits.config.queue_limits == {"a": 5, "b": 2}
    assert (limits.changed, limits.waiting) == (("worker.queues",), ())
    others = reload_of(old, config(worker__queues=("a:5", "c")))
    assert others.config.worker.queues == old.worker.queues
    assert others.waiting == ("worker.queues",)
