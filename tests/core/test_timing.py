from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.cron import Cron
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.timing import Every, latest, newest, shown, timing_of

START = datetime(2026, 3, 1, 10, 17, 30, 250, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "first"),
    [
        ("15m", "2026-03-01 10:30:00"),
        ("1h", "2026-03-01 11:00:00"),
        ("1d", "2026-03-02 00:00:00"),
        ("7s", "2026-03-01 10:17:34"),
        (90, "2026-03-01 10:18:00"),
        (timedelta(hours=6), "2026-03-01 12:00:00"),
    ],
)
def test_an_interval_is_aligned_to_utc_whenever_it_began(every, first):
    timing = timing_of(cron=None, every=every)
    assert f"{timing.next_after(START):%Y-%m-%d %H:%M:%S}" == first


@given(st.integers(1, 10**7), st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)))
def test_an_interval_never_drifts(seconds, start):
    timing, tick = Every(timedelta(seconds=seconds)), start.replace(tzinfo=UTC)
    found = [tick := timing.next_after(tick) for _ in range(5)]
    assert found[0] > start.replace(tzinfo=UTC)
    assert all(later - earlier == timing.interval for earlier, later in pairwise(found))
    assert all(
        (tick - datetime(1970, 1, 1, tzinfo=UTC)) % timing.interval == timedelta(0)
        for tick in found
    )


TIMINGS = [
    *(Every(timedelta(seconds=1)), Every(timedelta(minutes=7)), Every(timedelta(days=3))),
    *(
        Cron("*/5 * * * *", "Europe/Berlin"),
        Cron("30 2 * * *", "America/New_York"),
        Cron("@monthly"),
    ),
]


@given(
    st.sampled_from(TIMINGS),
    st.timedeltas(timedelta(0), timedelta(hours=3)),
    st.integers(1, 5),
)
def test_the_newest_ticks_are_the_last_of_all_there_are(timing, span, count):
    until = START + span
    ticks, tick = [], START
    while (tick := timing.next_after(tick)) <= until:
        ticks.append(tick)
    assert newest(timing, START, until, count) == ticks[-count:]
    assert latest(timing, START, until) == (ticks[-1] if ticks else None)


def test_the_newest_of_millions_of_ticks_are_found_at_once():
    years_ago = START - timedelta(days=3_650)
    every_second = Cron("* * * * * *", "Europe/Berlin")
    found = newest(every_second, years_ago, START, 100)
    assert len(found) == 100
    assert found[-1] == START.replace(microsecond=0)
    assert all(later - earlier == timedelta(seconds=1) for earlier, later in pairwise(found))


@pytest.mark.parametrize(
    ("given_", "problem"),
    [
        ({"every": "0s"}, "a whole number of seconds, at least 1s"),
        ({"every": "1500ms"}, "a whole number of seconds"),
        ({"every": "soon"}, "every is 'soon': write a number with a unit"),
        ({"every": -5}, "between 0 and 100 years"),
        ({"every": "5m", "cron": "@daily"}, "choose one"),
        ({}, r'give cron="0 2 \* \* \*" or every="15m"'),
        ({"cron": "@daily", "timezone": "Mars/Phobos"}, "no IANA time zone"),
    ],
)
def test_what_is_no_timing_is_refused(given_, problem):
    with pytest.raises(ConfigurationError, match=problem):
        timing_of(**{"cron": None, "every": None} | given_)


def test_a_timing_is_shown_as_people_write_it():
    assert [shown(timing) for timing in TIMINGS] == [
        *("every 1s", "every 7m", "every 3d"),
        *("*/5 * * * * Europe/Berlin", "30 2 * * * America/New_York", "@monthly"),
    ]
