from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.duration import LONGEST, format_duration, parse_duration
from celers_worker.core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h30m", 5_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        (" 30S ", 30),
        ("30", 30),
        ("0", 0),
        ("0s", 0),
        (30, 30),
        (0.5, 0.5),
        (timedelta(minutes=1), 60),
    ],
)
def test_a_duration_is_a_number_with_units_or_seconds_or_a_timedelta(written, seconds):
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "s",
        "ten",
        "1h30",
        "-5s",
        "1 h",
        "1e3s",
        "nan",
        "inf",
        "0x10",
        "\u0663s",  # an Arabic digit
        "5us",
        "5s;",
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        b"5s",
        datetime(2025, 1, 1),
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(written):
    with pytest.raises(ConfigurationError, match=r"worker\.lease is .*\"1h30m\""):
        parse_duration(written, name="worker.lease")


@pytest.mark.parametrize(
    "written",
    [
        -1,
        -0.001,
        "101w5300w",
        "36526d",
        pytest.param("9" * 400 + "s", id="400 digits and a unit"),
        pytest.param("9" * 10_000, id="10,000 digits"),
        pytest.param(10**400, id="more than a float holds"),
        pytest.param(1 << 50_000, id="more than str() writes"),
        1e300,
        timedelta(seconds=-1),
        timedelta.max,
    ],
)
def test_a_duration_lies_between_zero_and_a_century_and_the_message_stays_short(written):
    with pytest.raises(ConfigurationError, match="between 0 and 100 years") as refusal:
        parse_duration(written)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.0004, "0.4ms"),
        (0.002, "2ms"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (1.5, "1.5s"),
        (12.345, "12.3s"),
        (59.96, "1m"),
        (60, "1m"),
        (119.7, "2m"),
        (3_599.6, "1h"),
        (5_400, "1h30m"),
        (86_399, "1d"),
        (90_000, "1d1h"),
        (604_800, "7d"),
        (-5, "-5s"),
    ],
)
def test_a_duration_is_written_in_at_most_two_units_that_carry(seconds, written):
    assert format_duration(timedelta(seconds=seconds)) == written


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_what_is_written_reads_back_within_rounding(value):
    read = parse_duration(format_duration(value))
    assert abs(read - value) <= value / 48 + timedelta(microseconds=1)


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_writing_what_was_read_back_changes_nothing(value):
    written = format_duration(value)
    assert format_duration(parse_duration(written)) == written


@given(st.text() | st.integers() | st.floats())
def test_any_input_gives_a_duration_in_bounds_or_a_configuration_error(value):
    with contextlib.suppress(ConfigurationError):
        assert timedelta(0) <= parse_duration(value) <= LONGEST
