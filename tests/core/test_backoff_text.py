"""Backoffs as configuration writes them, and the strategies themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core import backoff
from celers_worker.core.backoff_text import STRATEGIES, parse_backoff
from celers_worker.core.errors import ConfigurationError


def waits(text: str, count: int = 5) -> list[float]:
    """The waits in seconds, with all jitter at its most."""
    parsed = parse_backoff(text)
    return [parsed.delay(number, lambda: 1.0).total_seconds() for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("immediate", [0, 0, 0, 0, 0]),
        ("immediate()", [0, 0, 0, 0, 0]),
        ("fixed(1m)", [60] * 5),
        ("linear(30s)", [30, 60, 90, 120, 150]),
        ("linear(step=30s, start=5s, cap=2m)", [35, 65, 95, 120, 120]),
        ("exponential(2s, cap=10s)", [2, 4, 8, 10, 10]),
        ("exponential(1s, factor=3, jitter=none)", [1, 3, 9, 27, 81]),
        ("polynomial(1s, power=4, start=5s)", [6, 21, 86, 261, 630]),
        ("fibonacci(5s)", [5, 5, 10, 15, 25]),
        ("fibonacci(5s, cap=12s, jitter=full)", [5, 5, 10, 12, 12]),
        ('steps("1s", 10s, 5m)', [1, 10, 300, 300, 300]),
    ],
)
def test_a_strategy_is_read_with_its_arguments(text: str, expected: list[float]) -> None:
    assert waits(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no backoff: write a strategy"),
        ("2s", "is no backoff: write a strategy"),
        ("exponental(2s)", "Did you mean 'exponential'"),
        ("fixed", "missing a required argument"),
        ("fixed(1m, 2m)", "too many positional arguments"),
        ("linear(30s, stop=1m)", "unexpected keyword argument 'stop'"),
        ("exponential(2s, factor=two)", "factor is 'two': write a number"),
        ("exponential(2s, factor=0.5)", "shrinks"),
        ("exponential(cap=1h, 2s)", "must stand before"),
        ("exponential(2x)", "write a number with a unit"),
        ("exponential(2s, jitter=some)", "jitter is 'some'"),
        ("steps()", "no waits"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_backoff(text)
    assert problem in str(error.value)


@given(st.sampled_from(sorted(STRATEGIES)), st.integers(1, 10_000))
def test_no_wait_is_negative_or_over_its_cap(name: str, failures: int) -> None:
    parsed = parse_backoff(name if name == "immediate" else f"{name}(2s)")
    assert timedelta(0) <= parsed.delay(failures) <= parsed.cap


def test_decorrelated_waits_grow_up_to_three_times_the_one_before() -> None:
    most = backoff.decorrelated("2s", cap="1m", random_number=lambda: 1.0)
    assert [most.wait(number) for number in range(1, 6)] == [6, 18, 54, 60, 60]
    least = backoff.decorrelated("2s", random_number=lambda: 0.0)
    assert [least.wait(number) for number in range(1, 4)] == [2, 2, 2]
