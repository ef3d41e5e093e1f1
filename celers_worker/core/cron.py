"""Cron expressions: which moments they mean in a time zone, also where its clocks change.

``minute hour day month weekday``, or six fields with seconds in front, or ``@hourly`` and the like.
The grammar is cronsim's, which is that of Debian's cron; so is the rule where clocks change:

- An expression that names its minutes and hours (neither begins with ``*``) means a time of day.
  Where clocks jump over it, it fires at the first moment after the gap; where they go back over it,
  only the first time. So what is daily fires exactly once on every day.
- Any other follows the clock. A wall-clock time that does not exist does not fire, and one that
  comes twice fires twice. So ``*/15 * * * *`` stays a quarter of an hour apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest

ALIASES: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST = 255
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
#: Everything about dates comes again within 50 years of it.
_SOME_DAY = datetime(2000, 1, 1)


class _Field(NamedTuple):
    name: str
    values: str


_FIELDS = (
    _Field("second", "0-59"),
    _Field("minute", "0-59"),
    _Field("hour", "0-23"),
    _Field("day of the month", "1-31, L for the last day, LW for the last weekday"),
    _Field("month", "1-12 or JAN-DEC"),
    _Field(
        "day of the week",
        "0-7 or SUN-SAT, where 0 and 7 are Sunday; MON#1 is the first, 5L the last of its month",
    ),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression on the clocks of a time zone. Equal if written alike.

    Raises ConfigurationError if it cannot be read, or would never fire.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self.expression)
        zone_of(self.timezone)

    def next_after(self, instant: datetime) -> datetime | None:
        """The first moment after *instant*, in UTC; None if there is none in 50 years."""
        zone = zone_of(self.timezone)
        fields = _fields(self.expression)
        is_time_of_day = not (fields[1].startswith("*") or fields[2].startswith("*"))
        find = _next_time_of_day if is_time_of_day else _next_on_the_clock
        return find(" ".join(fields), zone, instant.astimezone(UTC).replace(microsecond=0))


def zone_of(name: object) -> ZoneInfo:
    """The time zone called *name*. Raises ConfigurationError with the nearest that there is."""
    if isinstance(name, str) and name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = nearest(name, available_timezones())
            raise ConfigurationError(
                f"timezone is {name[:80]!r}, which is no IANA time zone that this host knows."
                f"{hint or ' Write a name such as UTC, Europe/Berlin or America/New_York.'}"
            ) from None
    raise ConfigurationError(f"timezone is {name!r}: write a name such as Europe/Berlin.")


def _fields(expression: str) -> list[str]:
    """The six fields, seconds first."""
    words = ALIASES.get(expression.strip().lower(), expression).upper().split()
    return words if len(words) == 6 else ["0", *words]


def _check(expression: object) -> None:
    if not isinstance(expression, str) or not expression.strip() or len(expression) > LONGEST:
        raise ConfigurationError(
            f"cron is {str(expression)[:80]!r}: write five fields, such as "
            '"30 2 * * MON-FRI": minute, hour, day, month, day of the week.'
        )
    word = expression.strip().lower()
    if word.startswith("@") and word not in ALIASES:
        raise ConfigurationError(
            f"cron is {expression!r}: there is no such word.{nearest(word, ALIASES)} "
            f"Write one of {', '.join(ALIASES)}, or five fields."
        )
    fields = _fields(expression)
    if len(fields) != len(_FIELDS):
        raise ConfigurationError(
            f"cron is {expression!r}, which has {len(expression.split())} fields: write five "
            "(minute, hour, day, month, day of the week), or six with the second in front."
        )
    problems = [problem for index in range(len(fields)) if (problem := _problem(index, fields))]
    if problems:
        raise ConfigurationError(*(f"cron is {expression!r}: {problem}" for problem in problems))
    if not _ever_fires(" ".join(fields)):
        raise ConfigurationError(
            f"cron is {expression!r}, which would never fire: no year has such a day."
        )


def _problem(index: int, fields: Sequence[str]) -> str | None:
    """What is wrong with one field, if anything."""
    for item in fields[index].split(","):
        alone = ["*"] * len(_FIELDS)
        alone[index] = item
        try:
            CronSim(" ".join(alone), _SOME_DAY)
        except CronSimError:
            name, values = _FIELDS[index]
            return (
                f"its {name} is {item!r}. Allowed are {values}; "
                "* for all, lists (1,15), rising ranges (1-5) and steps (*/5)."
            )
    return None


def _ever_fires(expression: str) -> bool:
    try:
        return next(CronSim(expression, _SOME_DAY), None) is not None
    except CronSimError:
        return False


# --- on the clocks of a time zone; walls are what they show, without a zone ---


def _next_time_of_day(expression: str, zone: ZoneInfo, instant: datetime) -> datetime | None:
    for wall in CronSim(expression, _wall(instant, zone)):
        found = _first_showing(wall, zone)
        if found > instant:  # else it was passed before the clocks went back
            return found
    return None


def _next_on_the_clock(expression: str, zone: ZoneInfo, instant: datetime) -> datetime | None:
    moment, start = instant, _wall(instant, zone)
    while (wall := next(CronSim(expression, start), None)) is not None:
        found = (wall - _offset(moment, zone)).replace(tzinfo=UTC)
        change = _first_change(zone, moment, found)
        if change is None:
            return found
        # Before it nothing fires; from it on, the clocks show something else.
        moment, start = change, _wall(change, zone) - _SECOND
    return None


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _first_showing(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which clocks show *wall*, or the end of the gap that it falls into."""
    found = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _wall(found, zone) == wall:
        return found
    before_the_gap = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change_between(zone, before_the_gap, found)


def _first_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The first moment in (after, until] at which the clocks change; no two change in a day."""
    if zone.key == "UTC":
        return None
    offset = _offset(after, zone)
    while after < until:
        later = min(after + _DAY, until)
        if _offset(later, zone) != offset:
            return _change_between(zone, after, later)
        after = later
    return None


def _change_between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second in (low, high] with another offset than that of *low*."""
    offset = _offset(low, zone)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high
