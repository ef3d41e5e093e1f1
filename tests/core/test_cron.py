"""Cron expressions: what they mean, in every time zone, and which are refused."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celers_worker.core.cron import ALIASES, Cron
from celers_worker.core.errors import ConfigurationError

#: Those whose clocks change by a whole hour, by half of one, at midnight, twice a year around
#: Ramadan, by a whole day, or not at all.
ZONES = (
    *(
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Asia/Beirut",
    ),
    *(
        "Africa/Casablanca",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "UTC",
        "America/Havana",
        "Asia/Pyongyang",
    ),
)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)).map(
    lambda instant: instant.replace(microsecond=0)
)


def ticks(cron: Cron, after: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    for _ in range(count):
        tick = cron.next_after(found[-1] if found else after)
        assert tick is not None
        found.append(tick)
    return found


def shown(cron: Cron, after: str, count: int) -> list[str]:
    """Its next ticks as the clocks of its zone show them."""
    zone = ZoneInfo(cron.timezone)
    start = datetime.fromisoformat(after).replace(tzinfo=zone)
    return [f"{tick.astimezone(zone):%d %H:%M%z}" for tick in ticks(cron, start, count)]


# --- what they mean ---


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        # T17: the first of June 2026 is a Monday
        ("0 0 * * 0", "Sun"),
        ("0 0 * * 7", "Sun"),
        ("0 0 * * SUN", "Sun"),
        ("0 0 * * 1", "Mon"),
        ("0 0 * * MON", "Mon"),
        ("0 0 * * 6", "Sat"),
        ("0 0 * * sat", "Sat"),
        ("0 0 * * 1-5", "Mon Tue Wed Thu Fri"),
        ("0 0 * * MON-FRI", "Mon Tue Wed Thu Fri"),
        ("0 0 * * 5-7", "Fri Sat Sun"),
        ("0 0 * * 0-1", "Sun Mon"),
        ("0 0 * * 0,6", "Sat Sun"),
        ("0 0 * * 0,7", "Sun"),
        ("0 0 * * */2", "Sun Tue Thu Sat"),
        ("0 0 * * MON,wed,5", "Mon Wed Fri"),
        ("0 0 * * *", "Mon Tue Wed Thu Fri Sat Sun"),
    ],
)
def test_days_of_the_week_count_from_sunday(expression: str, days: str) -> None:
    cron, end = Cron(expression), datetime(2026, 6, 8, tzinfo=UTC)
    found = ticks(cron, datetime(2026, 5, 31, 23, 59, tzinfo=UTC), 8)
    assert {f"{tick:%a}" for tick in found if tick < end} == set(days.split())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["01-01 10:20:00", "01-01 10:40:00"]),
        ("*/20 * * * * *", ["01-01 10:17:20", "01-01 10:17:40"]),
        ("5-7,50 3 * * *", ["01-02 03:05:00", "01-02 03:06:00"]),
        ("10/25 4 * * *", ["01-02 04:10:00", "01-02 04:35:00"]),
        ("0 0 L * *", ["01-31 00:00:00", "02-28 00:00:00"]),
        ("0 0 LW * *", ["01-30 00:00:00", "02-27 00:00:00"]),
        ("0 9 * * MON#1", ["01-05 09:00:00", "02-02 09:00:00"]),
        ("0 9 * * 5L", ["01-30 09:00:00", "02-27 09:00:00"]),
        ("0 0 1 JAN,jul *", ["07-01 00:00:00", "01-01 00:00:00"]),
        ("0 0 13 * FRI", ["01-02 00:00:00", "01-09 00:00:00"]),
        ("@hourly", ["01-01 11:00:00", "01-01 12:00:00"]),
        ("@daily", ["01-02 00:00:00", "01-03 00:00:00"]),
        ("@midnight", ["01-02 00:00:00", "01-03 00:00:00"]),
        ("@weekly", ["01-04 00:00:00", "01-11 00:00:00"]),
        ("@Monthly", ["02-01 00:00:00", "03-01 00:00:00"]),
        ("@yearly", ["01-01 00:00:00", "01-01 00:00:00"]),
        ("@annually", ["01-01 00:00:00", "01-01 00:00:00"]),
    ],
)
def test_an_expression_means_what_it_means_to_cron(expression: str, expected: list[str]) -> None:
    found = ticks(Cron(expression), datetime(2026, 1, 1, 10, 17, tzinfo=UTC), 2)
    assert [f"{tick:%m-%d %H:%M:%S}" for tick in found] == expected


def test_the_last_day_of_a_month_does_not_get_stuck_in_a_short_one() -> None:
    # T16
    found = ticks(Cron("0 0 31 * *"), datetime(2026, 1, 1, tzinfo=UTC), 7)
    assert [tick.month for tick in found] == [1, 3, 5, 7, 8, 10, 12]


def test_a_day_that_comes_every_28_years_is_found() -> None:
    [first] = ticks(Cron("0 0 * 2 MON#5"), datetime(2026, 1, 1, tzinfo=UTC), 1)
    assert (first.year, first.month, first.day) == (2044, 2, 29)


# --- where clocks change ---


def test_a_time_of_day_in_the_gap_fires_when_the_gap_ends() -> None:
    cron = Cron("30 2 * * *", "America/New_York")
    assert shown(cron, "2026-03-07 12:00", 2) == ["08 03:00-0400", "09 02:30-0400"]


def test_several_times_of_day_in_the_gap_fire_once() -> None:
    cron = Cron("0,15,30 2,3 * * *", "America/New_York")
    assert shown(cron, "2026-03-07 12:00", 3) == ["08 03:00-0400", "08 03:15-0400", "08 03:30-0400"]


def test_a_time_of_day_that_comes_twice_fires_the_first_time() -> None:
    cron = Cron("30 1 * * *", "America/New_York")
    assert shown(cron, "2026-10-31 12:00", 2) == ["01 01:30-0400", "02 01:30-0500"]


def test_asked_between_the_two_a_time_of_day_fires_on_the_next_day() -> None:
    second_pass = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)  # 01:10 again
    assert Cron("30 1 * * *", "America/New_York").next_after(second_pass) == datetime(
        2026, 11, 2, 6, 30, tzinfo=UTC
    )


def test_what_follows_the_clock_skips_the_gap_and_fires_twice_in_what_comes_twice() -> None:
    cron = Cron("*/30 * * * *", "America/New_York")
    assert shown(cron, "2026-03-08 01:00", 2) == ["08 01:30-0500", "08 03:00-0400"]
    assert shown(cron, "2026-11-01 00:45", 5) == [
        *("01 01:00-0400", "01 01:30-0400", "01 01:00-0500", "01 01:30-0500", "01 02:00-0500"),
    ]


def test_a_day_that_a_zone_has_skipped_does_not_skip_its_run() -> None:
    cron = Cron("0 9 * * *", "Pacific/Apia")
    assert shown(cron, "2011-12-29 12:00", 2) == ["31 00:00+1400", "31 09:00+1400"]


def test_six_fields_have_the_same_rule() -> None:
    cron = Cron("0 30 2 * * *", "America/New_York")
    assert shown(cron, "2026-03-07 12:00", 2) == ["08 03:00-0400", "09 02:30-0400"]


def walls(zone: ZoneInfo, start: datetime, minutes: int) -> list[tuple[datetime, datetime]]:
    """What the clocks show at every minute from *start* on."""
    moments = [start + timedelta(minutes=one) for one in range(1, minutes + 1)]
    return [(moment, moment.astimezone(zone)) for moment in moments]


@settings(max_examples=150)
@given(
    st.sampled_from(ZONES),
    INSTANTS,
    st.sampled_from(["*/7", "0", "3,33", "*"]),
    st.sampled_from(["*", "*/2"]),
)
def test_what_follows_the_clock_fires_at_every_minute_that_matches_and_no_other(
    name: str, start: datetime, minute: str, hour: str
) -> None:
    zone, start = ZoneInfo(name), start.replace(second=0)
    minutes = {"*/7": set(range(0, 60, 7)), "0": {0}, "3,33": {3, 33}, "*": set(range(60))}[minute]
    hours = set(range(0, 24, 1 if hour == "*" else 2))
    expected = [
        moment
        for moment, wall in walls(zone, start, 240)
        if wall.minute in minutes and wall.hour in hours
    ]
    cron, found, tick = Cron(f"{minute} {hour} * * *", name), [], start
    while (tick := cron.next_after(tick) or start) <= start + timedelta(minutes=240):
        found.append(tick)
    assert found == expected


@st.composite
def near_a_change(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and an instant within two days of a change of its clocks, if it has any."""
    name = draw(st.sampled_from(ZONES))
    zone, moment = ZoneInfo(name), draw(INSTANTS)
    for _ in range(400):
        later = moment + timedelta(days=1)
        if later.astimezone(zone).utcoffset() != moment.astimezone(zone).utcoffset():
            break
        moment = later
    return name, moment - timedelta(minutes=draw(st.integers(0, 1_440)))


@settings(max_examples=200)
@given(near_a_change(), st.integers(0, 23), st.integers(0, 59))
def test_a_time_of_day_fires_exactly_once_a_day_in_every_zone(
    place: tuple[str, datetime], hour: int, minute: int
) -> None:
    name, start = place
    zone = ZoneInfo(name)
    found = ticks(Cron(f"{minute} {hour} * * *", name), start, 4)
    assert all(earlier < later for earlier, later in pairwise([start, *found]))
    days = []
    for tick in found:
        wall = tick.astimezone(zone)
        if (wall.hour, wall.minute) != (hour, minute):
            # A gap ends here: a second ago the clocks showed less than what was wanted.
            before = (tick - timedelta(seconds=1)).astimezone(zone)
            assert before.utcoffset() != wall.utcoffset()
            wanted = before.replace(tzinfo=None, hour=hour, minute=minute, second=0)
            if wanted < before.replace(tzinfo=None):
                wanted += timedelta(days=1)  # the gap goes over midnight
            assert before.replace(tzinfo=None) < wanted < wall.replace(tzinfo=None)
            days.append(wanted.date())
        else:
            assert wall.fold == 0  # of two, the first
            days.append(wall.date())
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))


@settings(max_examples=200)
@given(
    near_a_change(),
    st.sampled_from(["30 */3 * * *", "*/20 1-3 * * *", "0 0 1,15 * *", "15 10 * * 1"]),
)
def test_the_next_tick_is_the_first_one_after_whenever_it_is_asked_for(
    place: tuple[str, datetime], expression: str
) -> None:
    name, start = place
    cron = Cron(expression, name)
    tick = cron.next_after(start)
    assert tick is not None
    assert tick > start
    middle = start + (tick - start) / 2
    assert cron.next_after(middle) == tick
    assert cron.next_after(tick - timedelta(seconds=1)) == tick
    assert cron.next_after(tick) != tick


# --- what is refused ---


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("61 * * * *", "its minute is '61'. Allowed are 0-59"),
        ("* 24 * * *", "its hour is '24'. Allowed are 0-23"),
        ("* * 0 * *", "its day of the month is '0'. Allowed are 1-31"),
        ("* * * 13 *", "its month is '13'. Allowed are 1-12 or JAN-DEC"),
        ("* * * * 8", "its day of the week is '8'. Allowed are 0-7 or SUN-SAT"),
        ("* * * * FRI-MON", "its day of the week is 'FRI-MON'"),
        ("60 * * * * *", "its second is '60'. Allowed are 0-59"),
        ("*/0 * * * *", "its minute is '*/0'"),
        ("1,2,x * * * *", "its minute is 'X'"),
        ("5-1 * * * *", "its minute is '5-1'"),
        ("-1 * * * *", "its minute is '-1'"),
        ("* * ? * *", "its day of the month is '?'"),
        ("0 0 1--100000000 * *", "its day of the month is '1--100000000'"),
        ("* * * *", "which has 4 fields: write five"),
        ("* * * * * * *", "which has 7 fields: write five"),
        ("", "write five fields"),
        ("   ", "write five fields"),
        (None, "write five fields"),
        (5, "write five fields"),
        ("1," * 200 + "1 * * * *", "write five fields"),
        ("@yearlyy", "there is no such word. Did you mean '@yearly'?"),
        ("@reboot", "there is no such word."),
        ("0 0 31 2 *", "would never fire"),
        ("0 0 30 FEB *", "would never fire"),
        ("0 0 31 4,6,9,11 *", "would never fire"),
        ("0 0 */40 * MON#5", "would never fire"),
    ],
)
def test_a_bad_expression_is_told_where_it_is_wrong_and_what_is_allowed(
    expression: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        Cron(expression)


def test_all_fields_that_are_wrong_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Cron("61 25 * FOO *")
    assert [re.search(r"its (\w+)", problem)[1] for problem in caught.value.problems] == [  # type: ignore[index]
        *("minute", "hour", "month"),
    ]


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ("Mars/Phobos", "no IANA time zone"),
        ("Europe/Berlim", "Did you mean 'Europe/Berlin'?"),
        ("", "write a name such as"),
        ("../../etc/passwd", "no IANA time zone"),
        ("/etc/localtime", "no IANA time zone"),
        ("Europe", "no IANA time zone"),
        (None, "write a name such as"),
    ],
)
def test_a_zone_that_is_none_is_refused_with_the_nearest(zone: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        Cron("@daily", zone)


@given(st.text(alphabet="0123456789*/-,#LWMONFRIJAN@ ?.", max_size=40))
def test_whatever_is_written_is_refused_or_fires(text: str) -> None:
    began = time.process_time()
    try:
        cron = Cron(text)
    except ConfigurationError:
        pass
    else:
        assert cron.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is not None
    assert time.process_time() - began < 2  # a machine that does much else takes long


def test_every_word_is_an_expression() -> None:
    assert all(Cron(word).next_after(datetime(2026, 1, 1, tzinfo=UTC)) for word in ALIASES)
