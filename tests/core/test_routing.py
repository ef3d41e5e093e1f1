from __future__ import annotations

import pytest

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.routing import Route, Routes

ROUTES = Routes(
    (
        Route("shop.reports.monthly", "slow"),
        Route("shop.reports.*", "reports"),
        Route("*.send_?", "letters"),
        Route("shop.[ab]*", "ab"),
    )
)


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("shop.reports.monthly", "slow"),
        ("shop.reports.daily", "reports"),
        ("shop.reports", None),
        ("mail.send_a", "letters"),
        ("mail.send_ab", None),
        ("shop.bills", "ab"),
        ("SHOP.REPORTS.daily", None),
    ],
)
def test_the_first_rule_that_matches_wins(name, queue):
    assert ROUTES.queue_of(name) == queue
    assert ROUTES.queue_of(name) == queue, "asked again, the answer is the same"


@pytest.mark.parametrize("pattern", ["", "a b", "a" * 256, "{x}", 7, None, "a\n"])
def test_what_no_name_can_match_is_no_pattern(pattern):
    with pytest.raises(ConfigurationError, match="is no pattern of task names"):
        Route(pattern, "reports")


def test_a_route_leads_to_a_queue_that_can_be():
    with pytest.raises(ConfigurationError, match="cannot name a queue"):
        Route("reports.*", "a:b")
