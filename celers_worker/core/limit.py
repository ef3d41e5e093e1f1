"""Limits over all workers: how many runs of a key there are at once, and how often one starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from celers_worker.core.duration import parse_duration
from celers_worker.core.errors import ConfigurationError

_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(\S+)\s*", re.ASCII)
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Rate:
    """*count* runs in *per*, spread evenly in the long run."""

    count: int
    per: timedelta

    @property
    def interval(self) -> float:
        """The seconds between two runs."""
        return self.per.total_seconds() / self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What all workers together may do for one *name*.

    *concurrency*: runs at once. *interval*: the seconds between the starts of two, of which up to
    *burst* may come at once after a quiet time. None: no such bound.
    """

    name: str
    concurrency: int | None = None
    interval: float | None = None
    burst: int = 1


def parse_rate(text: object) -> Rate:
    """Read ``"100/1m"`` or ``"5/s"``. Raises ConfigurationError saying what to write."""
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is not None:
        span = found[2] if found[2][0].isdigit() else f"1{found[2]}"
        per = parse_duration(span, name="the time of a rate")
        if int(found[1]) and per:
            return Rate(int(found[1]), per)
    raise ConfigurationError(
        f'rate is {text!r}: write how many in what time, such as "100/1m" or "5/s".'
    )


def check_limit_name(name: str) -> str:
    """Return the name of a limit, or raise ConfigurationError."""
    if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name == name.strip():
        return name
    raise ConfigurationError(
        f"{str(name)[:80]!r} cannot name a limit: it must be text of at most {_LONGEST_NAME} "
        "characters, without blanks at its ends."
    )
