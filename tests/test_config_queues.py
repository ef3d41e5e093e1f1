from __future__ import annotations

import pytest

from celers_worker.config import load_config, parse_queue
from celers_worker.core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("worker", "emails", "slow", "new"),
    [
        ("", 4, 100, 100),
        ("concurrency = 10", 4, 10, 10),
        ("queue_concurrency = 7", 4, 7, 7),
        ('queues = ["emails", "slow:2", "new"]', 4, 2, 100),
        ('queues = ["emails:9"]', 9, None, None),
    ],
)
def test_a_queue_has_the_limit_that_is_nearest_to_it(tmp_path, worker, emails, slow, new):
    file = tmp_path / "celers.toml"
    file.write_text(f"[worker]\n{worker}\n[queues]\nemails = {{ concurrency = 4 }}\nslow = {{}}")
    config = load_config(file=file, environment={}).config
    limits = [
        config.queue_limits.get(queue, config.other_queues_limit)
        for queue in ("emails", "slow", "new")
    ]
    assert limits == [emails, slow, new]


@pytest.mark.parametrize(
    ("text", "queue"),
    [
        ("reports", ("reports", None)),
        ("reports:4", ("reports", 4)),
        ("eu.reports-2:100000", ("eu.reports-2", 100_000)),
    ],
)
def test_a_queue_may_carry_its_limit(text, queue):
    assert parse_queue(text) == queue


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":4",
        "a b:4",
        "a:",
        "a:0",
        "a:-1",
        "a:x",
        "a:4:5",
        "a:100001",
        "a: 4",
        "a:4\n",
        "a:\u0664",
    ],
)
def test_a_queue_with_a_hostile_name_or_limit_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"cannot name a queue|from 1 to 100000"):
        parse_queue(text)
