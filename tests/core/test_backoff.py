from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core import backoff
from celers_worker.core.backoff import Backoff
from celers_worker.core.errors import ConfigurationError

HOUR = 3_600


def seconds(chosen, *failures):
    return [chosen.delay(number).total_seconds() for number in failures]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (backoff.fixed("1m"), [60, 60, 60, 60, 60]),
        (backoff.immediate(), [0, 0, 0, 0, 0]),
        (backoff.linear("30s"), [30, 60, 90, 120, 300]),
        (backoff.linear("30s", start="5s", cap="1m"), [35, 60, 60, 60, 60]),
        (backoff.exponential(jitter="none"), [2, 4, 8, 16, 1024]),
        (backoff.exponential("1s", factor=3, jitter="none"), [1, 3, 9, 27, HOUR]),
        (backoff.exponential("1s", factor=1, jitter="none"), [1, 1, 1, 1, 1]),
        (backoff.exponential("10s", cap="15s", jitter="none"), [10, 15, 15, 15, 15]),
        (backoff.polynomial(jitter="none"), [1, 16, 81, 256, HOUR]),
        (backoff.polynomial("2s", power=1, jitter="none"), [2, 4, 6, 8, 20]),
        (backoff.custom(lambda failures: 10 * failures), [10, 20, 30, 40, 100]),
        (backoff.custom(lambda failures: "1m"), [60, 60, 60, 60, 60]),
        (backoff.custom(lambda failures: timedelta(days=1)), [HOUR] * 5),
    ],
)
def test_the_waits_are_those_of_the_table(chosen, expected):
    assert seconds(chosen, 1, 2, 3, 4, 10) == expected


@pytest.mark.parametrize(
    ("jitter", "shares"), [("none", (1, 1, 1)), ("equal", (0.5, 0.75, 1)), ("full", (0, 0.5, 1))]
)
def test_jitter_takes_its_share_of_the_wait(jitter, shares):
    chosen = backoff.fixed("100s", jitter=jitter)
    found = [chosen.delay(1, lambda number=number: number) for number in (0, 0.5, 1)]
    assert found == [timedelta(seconds=100 * share) for share in shares]


def test_tasks_that_failed_together_do_not_come_back_together():
    waits = sorted(backoff.exponential("100s").delay(1).total_seconds() for _ in range(1_000))
    assert waits[-1] - waits[0] > 50
    assert len(set(waits)) > 900


BUILT_IN = st.one_of(
    st.builds(
        backoff.exponential,
        st.floats(0, 1e9),
        factor=st.floats(1, 1e300),
        cap=st.floats(0, 1e9),
        jitter=st.sampled_from(["none", "equal", "full"]),
    ),
    st.builds(
        backoff.polynomial,
        st.floats(0, 1e9),
        power=st.floats(-1e300, 1e300),
        cap=st.floats(0, 1e9),
        jitter=st.sampled_from(["none", "equal", "full"]),
    ),
    st.builds(backoff.linear, st.floats(0, 1e9), start=st.floats(0, 1e9), cap=st.floats(0, 1e9)),
    st.builds(backoff.fixed, st.floats(0, 1e9)),
)


@given(BUILT_IN, st.one_of(st.integers(-5, 400), st.integers(0, 10**400)))
def test_every_wait_lies_between_nothing_and_the_cap(chosen, failures):
    assert timedelta(0) <= chosen.delay(failures) <= chosen.cap


@given(st.floats(), st.sampled_from(["none", "equal", "full"]))
def test_whatever_a_wait_says_it_is_bounded(wait, jitter):
    delay = Backoff(lambda failures: wait, cap=timedelta(hours=1), jitter=jitter).delay(1)
    assert timedelta(0) <= delay <= timedelta(hours=1)
    assert not math.isnan(delay.total_seconds())


@pytest.mark.parametrize("failures", [310, 1_024, 1_025, 10**9])
def test_many_failures_do_not_overflow(failures):
    assert seconds(backoff.exponential(jitter="none"), failures) == [HOUR]


@pytest.mark.parametrize("failures", [-3, 0, 1])
def test_the_first_failure_is_the_first(failures):
    assert seconds(backoff.linear("30s"), failures) == [30]


@pytest.mark.parametrize(
    "make",
    [
        lambda: backoff.exponential(factor=0.5),
        lambda: backoff.exponential(factor=float("nan")),
        lambda: backoff.exponential("soon"),
        lambda: backoff.exponential(cap="-1s"),
        lambda: backoff.linear("1 parsec"),
        lambda: backoff.fixed(-1),
        lambda: backoff.fixed(True),
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused_when_it_is_declared(make):
    with pytest.raises(ConfigurationError):
        make()
