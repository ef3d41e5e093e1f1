"""What becomes of a tick that is late, or comes while the last task has not ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from celers_worker.core.duration import Duration, parse_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest

MOST_CAUGHT_UP = 1_000


class Misfire(StrEnum):
    """What becomes of ticks that nobody dealt with in time."""

    SKIP = "skip"
    """They are given up."""
    ONCE = "once"
    """One task stands for all of them."""
    ALL = "all"
    """Each gets its task, of the newest ``catch_up`` ones."""


class Overlap(StrEnum):
    """What becomes of a tick while the schedule's last task has not ended."""

    ALLOW = "allow"
    SKIP = "skip"
    """It is given up."""
    QUEUE = "queue"
    """It waits until that task has ended; of several that wait, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What to do about ticks that are late, or come too early after the last.

    A tick is late when nobody dealt with it within ``misfire_after``. ``catch_up`` bounds how many
    late ticks are made up for. Tasks are due up to ``jitter`` after their tick.
    """

    misfire: Misfire = Misfire.ONCE
    misfire_after: timedelta = timedelta(minutes=1)
    catch_up: int = 100
    overlap: Overlap = Overlap.ALLOW
    jitter: timedelta = timedelta(0)


def policies_of(
    *,
    misfire: str | None = None,
    misfire_after: Duration | None = None,
    catch_up: int | None = None,
    overlap: str | None = None,
    jitter: Duration | None = None,
) -> Policies:
    """Policies from what people write; None is the default. Raises ConfigurationError."""
    default = DEFAULT_POLICIES
    if catch_up is not None and (
        isinstance(catch_up, bool)
        or not isinstance(catch_up, int)
        or not 1 <= catch_up <= MOST_CAUGHT_UP
    ):
        raise ConfigurationError(
            f"catch_up is {catch_up!r}: it must lie between 1 and {MOST_CAUGHT_UP}."
        )
    return Policies(
        misfire=_word(Misfire, "misfire", misfire) if misfire is not None else default.misfire,
        misfire_after=_duration("misfire_after", misfire_after, default.misfire_after),
        catch_up=catch_up or default.catch_up,
        overlap=_word(Overlap, "overlap", overlap) if overlap is not None else default.overlap,
        jitter=_duration("jitter", jitter, default.jitter),
    )


#: What is not said.
DEFAULT_POLICIES = Policies()

Word = TypeVar("Word", bound=StrEnum)


def _word(kind: type[Word], name: str, value: object) -> Word:
    words = [word.value for word in kind]
    if value in words:
        return kind(value)
    raise ConfigurationError(
        f"{name} is {value!r}: write one of {', '.join(words)}.{nearest(str(value), words)}"
    )


def _duration(name: str, value: Duration | None, default: timedelta) -> timedelta:
    return default if value is None else parse_duration(value, name=name)
