"""What a unique key does beyond its plain meaning: "one live task with this key, the first stays".

window        the key stays taken for so long after the enqueue, also when the task has ended
on_conflict   what becomes of a second task: the first is returned, replaced, or an error
debounce      each enqueue puts the waiting task off and gives it the newest arguments
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from celers_worker.core.duration import Duration, parse_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest

#: What became of a run whose arguments are out of date, if it is not to be repeated.
SUPERSEDED = "replaced by a newer task with its unique key"


class OnConflict(StrEnum):
    """What happens to a task whose unique key is taken."""

    RETURN = "return"
    """Nothing is added; the task that has the key is returned."""
    REPLACE = "replace"
    """The waiting task becomes this one; if it runs already, this one is added after it."""
    RAISE = "raise"
    """UniqueKeyTaken, and nothing of its batch is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniqueness:
    """How a unique key is held; a task without one of these returns the task that has its key.

    With ``debounce`` the task is due so long after the last enqueue, but no later than
    ``debounce_max`` after the first.
    """

    on_conflict: OnConflict = OnConflict.RETURN
    window: timedelta | None = None
    debounce: timedelta | None = None
    debounce_max: timedelta | None = None

    @property
    def replaces(self) -> bool:
        """Whether a waiting task with the key becomes the new one."""
        return self.on_conflict is OnConflict.REPLACE or self.debounce is not None


#: The options that make a Uniqueness.
OPTIONS = ("on_conflict", "unique_for", "debounce", "debounce_max")


def check_on_conflict(value: object) -> OnConflict:
    """Return what to do about a conflict, or raise ConfigurationError."""
    words = [word.value for word in OnConflict]
    if isinstance(value, str) and value in words:
        return OnConflict(value)
    raise ConfigurationError(
        f"on_conflict is {value!r}: it must be one of {', '.join(words)}."
        f"{nearest(str(value), words)}"
    )


def check_span(value: Duration, *, name: str) -> timedelta:
    """Return a duration that is longer than nothing, or raise ConfigurationError."""
    span = parse_duration(value, name=name)
    if span <= timedelta(0):
        raise ConfigurationError(f"{name} is {value!r}: it must be longer than nothing.")
    return span


def uniqueness_of(given: Mapping[str, Any]) -> Uniqueness | None:
    """What the checked options *given* say; None: nothing. Raises ConfigurationError.

    Options may come one after another, so only what is known to be wrong together is refused.
    """
    if not any(name in given for name in OPTIONS):
        return None
    if "debounce_max" in given and given["debounce_max"] < given.get("debounce", timedelta(0)):
        raise ConfigurationError(
            "debounce_max is shorter than debounce: no enqueue could ever put the task off."
        )
    if "debounce" in given:
        for other in ("delay", "at", "unique_for"):
            if other in given:
                raise ConfigurationError(
                    f"debounce says when the task is due, so it does not go with {other}."
                )
        if given.get("on_conflict", OnConflict.REPLACE) is not OnConflict.REPLACE:
            raise ConfigurationError(
                "debounce replaces the waiting task, so on_conflict can only be 'replace'."
            )
    return Uniqueness(
        on_conflict=given.get("on_conflict", OnConflict.RETURN),
        window=given.get("unique_for"),
        debounce=given.get("debounce"),
        debounce_max=given.get("debounce_max"),
    )


def check_complete(given: Mapping[str, Any]) -> None:
    """Raise ConfigurationError if what *given* says of a unique key has no key, or no debounce."""
    if "unique_key" not in given:
        named = next(name for name in OPTIONS if name in given)
        raise ConfigurationError(
            f"{named} says how a unique key is held, but there is no unique_key: give one, such as "
            'unique_key="report:7".'
        )
    if "debounce_max" in given and "debounce" not in given:
        raise ConfigurationError(
            "debounce_max bounds debounce, but there is none: give debounce too."
        )
