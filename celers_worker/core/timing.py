"""When a schedule fires: by a cron expression, or every so often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from celers_worker.core.cron import Cron
from celers_worker.core.duration import Duration, format_duration, parse_duration
from celers_worker.core.errors import ConfigurationError

#: Ticks fall on whole seconds.
SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """Whole multiples of an interval since 1970 in UTC, so no delay ever adds up.

    ``15m`` fires at :00, :15, :30 and :45 whenever it was added, and ``1d`` at midnight UTC.
    """

    interval: timedelta

    def __post_init__(self) -> None:
        if self.interval < SECOND or self.interval % SECOND:
            raise ConfigurationError(
                f"every is {format_duration(self.interval)}: it must be a whole number of seconds, "
                "at least 1s."
            )

    def next_after(self, instant: datetime) -> datetime | None:
        """The first moment after *instant*, in UTC."""
        return _EPOCH + ((instant - _EPOCH) // self.interval + 1) * self.interval


Timing: TypeAlias = Cron | Every


def timing_of(*, cron: str | None, every: Duration | None, timezone: str | None = None) -> Timing:
    """One of the two that is given. Raises ConfigurationError if none or both are, or it is bad."""
    if cron is not None and every is not None:
        raise ConfigurationError("cron and every both say when the schedule fires: choose one.")
    if every is not None:
        if timezone is not None:
            raise ConfigurationError("timezone is for cron; an interval has none.")
        return Every(parse_duration(every, name="every"))
    if cron is None:
        raise ConfigurationError(
            'nothing says when the schedule fires: give cron="0 2 * * *" or every="15m".'
        )
    return Cron(cron, "UTC" if timezone is None else timezone)


def shown(timing: Timing) -> str:
    """*timing* as people write it."""
    match timing:
        case Every():
            return f"every {format_duration(timing.interval)}"
        case Cron():
            zone = "" if timing.timezone == "UTC" else f" {timing.timezone}"
            return f"{timing.expression}{zone}"


def latest(timing: Timing, after: datetime, until: datetime) -> datetime | None:
    """The newest tick in (after, until], found in a few steps however many there are."""
    tick = timing.next_after(after)
    if tick is None or tick > until:
        return None
    while until - tick >= SECOND:
        middle = tick + (until - tick) / 2
        later = timing.next_after(middle)
        if later is not None and later <= until:
            tick = later
        else:
            until = middle
    return tick


def newest(timing: Timing, after: datetime, until: datetime, count: int) -> list[datetime]:
    """The newest *count* ticks in (after, until], the oldest first."""
    found: list[datetime] = []
    reach = until - after  # how far back to look, at first
    while len(found) < count:
        start = max(after, until - reach)
        tick = latest(timing, start, until)
        if tick is not None:
            if found:
                reach = 2 * (found[-1] - tick)  # the one before is probably as far again
            found.append(tick)
            until = tick - SECOND
        elif start == after:
            break
        else:
            reach *= 4
    return found[::-1]
