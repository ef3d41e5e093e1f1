from datetime import timedelta

import pytest

from celers_worker.core.health import Limits, Vitals, checks

WELL = {
    "workers": 2,
    "backlog_age": 10.0,
    "backlog_queue": "mail",
    "dead": 3,
    "upkeep_age": None,
}


@pytest.mark.parametrize(
    ("changed", "limits", "ill"),
    [
        ({}, Limits(), []),
        ({"workers": 0}, Limits(), ["workers"]),
        ({"workers": 0}, Limits(min_workers=0), []),
        ({"backlog_age": 301.0}, Limits(), ["backlog age"]),
        ({"backlog_age": 301.0}, Limits(max_backlog_age=timedelta(minutes=6)), []),
        ({"dead": 3}, Limits(max_dead=3), []),
        ({"dead": 4}, Limits(max_dead=3), ["dead letters"]),
        ({"workers": 1, "backlog_age": 1e6}, Limits(min_workers=2), ["workers", "backlog age"]),
    ],
)
def test_what_passes_its_limit_is_ill(changed, limits, ill):
    found = list(checks(Vitals(**WELL | changed), limits))
    assert [check.name for check in found if not check.ok] == ill


def test_the_queue_with_the_oldest_backlog_is_named():
    [found] = [c for c in checks(Vitals(**WELL), Limits()) if c.name == "backlog age"]
    assert found.found == "10s in mail"


def test_what_has_no_limit_is_not_looked_at():
    names = [check.name for check in checks(Vitals(**WELL), Limits(max_backlog_age=None))]
    assert names == ["workers"]
