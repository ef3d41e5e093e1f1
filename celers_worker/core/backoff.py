"""How long to wait before the next attempt.

A backoff maps the number of failed runs (1, 2, …) to a wait. The ones below are capped and spread
their waits at random, so that tasks that failed together do not come back together.

    exponential(base="2s", cap="1h")    2 s, 4 s, 8 s … each a random part of it ("full" jitter)
    linear(step="30s")                  30 s, 60 s, 90 s …
    polynomial(base="1s", power=4)      1 s, 16 s, 81 s …
    fibonacci("5s")                     5 s, 5 s, 10 s, 15 s, 25 s …
    decorrelated("2s", cap="1h")        at random up to 3 times the one before, itself at random
    steps("1s", "10s", "5m")            1 s, 10 s, 5 min, 5 min …
    fixed("1m")                         1 min, 1 min …
    immediate()                         no wait
    custom(lambda failures: 10 * failures)
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

from celers_worker.core.duration import LONGEST, Duration, parse_duration
from celers_worker.core.errors import ConfigurationError

Jitter: TypeAlias = Literal["none", "equal", "full"]
DEFAULT_CAP = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Backoff:
    """A wait that depends on the number of failures.

    ``jitter``: "none" waits exactly that long, "equal" between half and all of it, "full"
    between nothing and all of it.
    """

    wait: Callable[[int], float] = field(repr=False)
    cap: timedelta = DEFAULT_CAP
    jitter: Jitter = "none"

    def __post_init__(self) -> None:
        if self.jitter not in get_args(Jitter):
            raise ConfigurationError(
                f"jitter is {self.jitter!r}: write one of {', '.join(get_args(Jitter))}."
            )

    def delay(self, failures: int, random_number: Callable[[], float] = random.random) -> timedelta:
        """Return the wait after *failures* failed runs (from 1), between 0 and ``cap``."""
        cap = self.cap.total_seconds()
        try:
            seconds = min(max(float(self.wait(max(failures, 1))), 0.0), cap)
        except OverflowError:
            seconds = cap
        match self.jitter:
            case "full":
                seconds *= random_number()
            case "equal":
                seconds *= 0.5 + random_number() / 2
            case "none":
                pass
        return timedelta(seconds=seconds if seconds == seconds else cap)  # NaN is not itself


def fixed(wait: Duration, *, jitter: Jitter = "none") -> Backoff:
    """Always *wait*."""
    seconds = parse_duration(wait, name="wait").total_seconds()
    return Backoff(lambda failures: seconds, cap=LONGEST, jitter=jitter)


def immediate() -> Backoff:
    """Do not wait."""
    return fixed(0)


def linear(
    step: Duration, *, start: Duration = 0, cap: Duration = DEFAULT_CAP, jitter: Jitter = "none"
) -> Backoff:
    """Wait *start* and one more *step* for each failure."""
    first = parse_duration(start, name="start").total_seconds()
    each = parse_duration(step, name="step").total_seconds()
    return Backoff(
        lambda failures: first + each * failures, parse_duration(cap, name="cap"), jitter
    )


def exponential(
    base: Duration = "2s",
    *,
    factor: float = 2.0,
    cap: Duration = DEFAULT_CAP,
    jitter: Jitter = "full",
) -> Backoff:
    """Wait *base*, then *factor* times as long each time."""
    if not factor >= 1:
        raise ConfigurationError(
            f"factor is {factor!r}: a backoff that shrinks is no backoff; use 1 or more."
        )
    first = parse_duration(base, name="base").total_seconds()
    return Backoff(
        lambda failures: first * factor ** (failures - 1), parse_duration(cap, name="cap"), jitter
    )


def polynomial(
    base: Duration = "1s",
    *,
    power: float = 4.0,
    start: Duration = 0,
    cap: Duration = DEFAULT_CAP,
    jitter: Jitter = "equal",
) -> Backoff:
    """Wait *start*, and *base* times the number of failures to the *power*."""
    least = parse_duration(start, name="start").total_seconds()
    first = parse_duration(base, name="base").total_seconds()
    return Backoff(
        lambda failures: least + first * float(failures) ** power,
        parse_duration(cap, name="cap"),
        jitter,
    )


def fibonacci(
    base: Duration = "1s", *, cap: Duration = DEFAULT_CAP, jitter: Jitter = "equal"
) -> Backoff:
    """Wait *base*, *base* again, and then each time the sum of the two waits before."""
    first = parse_duration(base, name="base").total_seconds()
    longest = parse_duration(cap, name="cap")

    def wait(failures: int) -> float:
        last, current = 0.0, first
        for _ in range(failures - 1):
            if current >= longest.total_seconds():
                break
            last, current = current, last + current
        return current

    return Backoff(wait, longest, jitter)


def decorrelated(
    base: Duration = "2s",
    *,
    cap: Duration = DEFAULT_CAP,
    random_number: Callable[[], float] = random.random,
) -> Backoff:
    """Wait at random between *base* and three times the wait before.

    No wait is remembered: the ones before are drawn anew, which comes to the same distribution.
    """
    first = parse_duration(base, name="base").total_seconds()
    longest = parse_duration(cap, name="cap")

    def wait(failures: int) -> float:
        current = first
        for _ in range(failures):
            most = min(3 * current, longest.total_seconds())
            current = first + random_number() * max(most - first, 0.0)
        return current

    return Backoff(wait, longest)


def steps(*waits: Duration, jitter: Jitter = "none") -> Backoff:
    """Wait these times, one after the other, and the last one from then on."""
    if not waits:
        raise ConfigurationError('steps() has no waits: write them, as in steps("1s", "1m").')
    seconds = [parse_duration(wait, name="wait").total_seconds() for wait in waits]
    return Backoff(
        lambda failures: seconds[min(failures, len(seconds)) - 1], cap=LONGEST, jitter=jitter
    )


def custom(
    wait: Callable[[int], Duration], *, cap: Duration = DEFAULT_CAP, jitter: Jitter = "none"
) -> Backoff:
    """Wait what *wait* says for the number of failures: a duration as people write them."""
    return Backoff(
        lambda failures: parse_duration(wait(failures), name="backoff").total_seconds(),
        parse_duration(cap, name="cap"),
        jitter,
    )
