from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.figures import Grouping, Passage, Spread, figures, percentile
from celers_worker.core.task import TaskState


def passage(**changes):
    values = {
        "name": "send",
        "queue": "default",
        "state": TaskState.COMPLETED,
        "runs": 1,
        "wait": 1.0,
        "run": 2.0,
        "total": 3.0,
    }
    return Passage(**values | changes)


def test_nothing_has_no_figures():
    assert figures([], over=timedelta(hours=1)) == []


def test_rates_are_shares_of_what_ended():
    found = [
        passage(),
        passage(runs=3),
        passage(state=TaskState.FAILED, runs=4),
        passage(state=TaskState.EXPIRED, runs=0, wait=None, run=None),
    ]
    [all_of_them] = figures(found, over=timedelta(seconds=8))
    assert all_of_them.ended == 4
    assert (all_of_them.completed, all_of_them.failed, all_of_them.expired) == (2, 1, 1)
    assert all_of_them.per_second == 0.5
    assert all_of_them.failure_rate == 0.25
    assert all_of_them.retry_rate == 0.5
    assert all_of_them.wait == Spread(1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("by", "keys"), [(Grouping.NAME, ["b", "a"]), (Grouping.QUEUE, ["q"])])
def test_groups_come_busiest_first(by, keys):
    found = [passage(name="a", queue="q"), *[passage(name="b", queue="q")] * 2]
    assert [one.key for one in figures(found, over=timedelta(1), by=by)] == keys


@pytest.mark.parametrize(
    ("percent", "value"), [(50, 50.0), (95, 95.0), (99, 99.0), (100, 100.0), (1, 1.0)]
)
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(percent, value):
    assert percentile([float(number) for number in range(1, 101)], percent) == value


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_one_of_the_values_and_enough_are_not_over_it(values, percent):
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) * 100 >= percent * len(ordered)


def test_clocks_that_disagree_do_not_make_negative_spans():
    [found] = figures([passage(wait=-0.5)], over=timedelta(1))
    assert found.wait.p50 == 0.0
