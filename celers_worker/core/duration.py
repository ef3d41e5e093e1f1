"""Durations as people write them: ``"30s"``, ``"1h30m"``, seconds or a timedelta."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TypeAlias

from celers_worker.core.errors import ConfigurationError

Duration: TypeAlias = timedelta | int | float | str

#: A century: far beyond any use, and safe to add to any date a database can hold.
LONGEST = timedelta(days=36_525)

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
#: Units for writing, each with the next smaller one, and where the next larger one takes over.
_LADDER = (("m", "s", 60), ("h", "m", 24), ("d", "h", math.inf))

_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def parse_duration(value: Duration, *, name: str = "duration") -> timedelta:
    """Read *value*; a number counts seconds.

    Raises ConfigurationError, calling the value *name*, unless it lies between 0 and a century.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ConfigurationError(
            f"{name} is {_shown(value)}: write a number with a unit, "
            'such as "30s", "5m", "1h30m" or "7d".'
        )
    if not 0 <= seconds <= LONGEST.total_seconds():
        raise ConfigurationError(f"{name} is {_shown(value)}: it must lie between 0 and 100 years.")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Write *value* for people: ``250ms``, ``1.5s``, ``1h30m``, ``2d``.

    Under a minute it has three digits, above that two units; what is smaller is rounded.
    """
    seconds = value.total_seconds()
    if seconds <= 0:
        return f"-{format_duration(-value)}" if seconds else "0s"
    if (milliseconds := _three_digits(seconds * 1_000)) < 1_000:
        return f"{milliseconds:g}ms"
    if (rounded := _three_digits(seconds)) < 60:
        return f"{rounded:g}s"
    return _two_units(seconds)


def format_seconds(seconds: float) -> str:
    """Write a length of time for people: from one second up in whole seconds."""
    return format_duration(timedelta(seconds=round(seconds) if seconds >= 1 else seconds))


def _three_digits(number: float) -> float:
    return float(f"{number:.3g}")


def _two_units(seconds: float) -> str:
    # From the smallest up: 59m59.9s rounds to 60 minutes, which is an hour.
    for unit, smaller, limit in _LADDER:
        step = _SECONDS[smaller]
        count, rest = divmod(round(seconds / step), round(_SECONDS[unit] / step))
        if count < limit:
            break
    return f"{count}{unit}{rest}{smaller}" if rest else f"{count}{unit}"


def _shown(value: object) -> str:
    # Python refuses to write integers of more than 4,300 digits, and nobody reads half as many.
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _seconds(value: Duration) -> float | None:
    match value:
        case timedelta():
            return value.total_seconds()
        case bool():
            return None
        case int() | float():
            return _finite(value)
        case str():
            text = value.strip().lower()
            if _NUMBER.fullmatch(text):
                return float(text)
            if not _WHOLE.fullmatch(text):
                return None
            return sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(text))
        case _:
            return None


def _finite(number: float) -> float | None:
    try:
        return float(number) if math.isfinite(number) else None
    except OverflowError:  # an integer beyond every float, so beyond a century too
        return math.inf
