"""Circuits: when the tasks of a handler are held, because nearly all of them fail. Pure.

    closed ──enough failures in the window──▶ open ──after the rest──▶ one task is tried
       ▲                                       ▲                          │        │
       └───────────────it completes────────────┼──────────────────────────┘        │
                                               └─────────────it fails──────────────┘

A held task stays pending and loses no attempt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from celers_worker.core.duration import Duration, format_duration, parse_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.outcome import Completed, Dead, Retry, used_up

if TYPE_CHECKING:
    from celers_worker.core.outcome import Settlement

#: Into so many parts the window is cut: it moves on by one of them at a time.
_PARTS = 10


@dataclass(frozen=True, slots=True)
class Circuit:
    """When a handler's circuit opens, and for how long.

    It opens with ``failures`` failed runs within ``window``, if they are at least ``rate`` of the
    runs in it. Each ``rest`` one task is tried; if it completes, the circuit closes.
    """

    failures: int = 5
    rate: float = 0.5
    window: timedelta = timedelta(minutes=1)
    rest: timedelta = timedelta(seconds=30)

    def __str__(self) -> str:
        window, rest = format_duration(self.window), format_duration(self.rest)
        return f"{self.failures} in {window}, rest {rest}"


def circuit(
    failures: int = 5,
    *,
    rate: float = 0.5,
    window: Duration = "1m",
    rest: Duration = "30s",
) -> Circuit:
    """A circuit for ``@app.task(circuit=…)``; see Circuit. Raises ConfigurationError."""
    if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
        raise ConfigurationError(f"failures is {failures!r}: it must be a whole number from 1.")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise ConfigurationError(f"rate is {rate!r}: it must be over 0, and 1 at most.")
    spans = {
        "window": parse_duration(window, name="window"),
        "rest": parse_duration(rest, name="rest"),
    }
    for name, span in spans.items():
        if span <= timedelta(0):
            raise ConfigurationError(f"{name} is 0: it must be longer than that.")
    return Circuit(failures, float(rate), spans["window"], spans["rest"])


def check_circuit(value: object) -> Circuit | None:
    """Return what a handler is declared with as a circuit. Raises ConfigurationError."""
    if value is None or isinstance(value, Circuit):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return circuit(value)
    raise ConfigurationError(
        f"circuit is {value!r}: write a number of failures, or circuit(5, rest='30s') of "
        "celers_worker.circuit."
    )


def verdict(settlement: Settlement) -> bool | None:
    """Whether a run speaks for its handler (True) or against it; None: it says nothing.

    What a handler says of one task says nothing of the others: that it is dead by itself or by its
    exception's class, cancelled or snoozed, or that its arguments do not fit.
    """
    match settlement.outcome:
        case Completed():
            return True
        case Retry():
            return False
        case Dead(reason) if reason == used_up(settlement.task):
            return False
        case _:
            return None


class Breaker:
    """Counts the runs of one handler; the caller has the clock, in seconds."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self._part = circuit.window.total_seconds() / _PARTS
        #: When each part began, its runs and its failures.
        self._parts: deque[list[float]] = deque()

    def count(self, *, well: bool, at: float) -> bool:
        """Count a run that ended; True if the circuit has to open."""
        while self._parts and self._parts[0][0] + self._part * _PARTS <= at:
            self._parts.popleft()
        if not self._parts or self._parts[-1][0] + self._part <= at:
            self._parts.append([at, 0, 0])
        part = self._parts[-1]
        part[1] += 1
        part[2] += not well
        if well:
            return False
        runs, failures = (sum(part[place] for part in self._parts) for place in (1, 2))
        return failures >= self.circuit.failures and failures >= self.circuit.rate * runs

    def reset(self) -> None:
        """Forget what was counted."""
        self._parts.clear()
