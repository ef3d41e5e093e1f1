"""A schedule: what is enqueued, when, and what becomes of a tick that comes late or too early."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from celers_worker.core.duration import LONGEST, Duration, parse_duration
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.handler import Handler
from celers_worker.core.names import check_task_name, nearest
from celers_worker.core.options import Options
from celers_worker.core.payload import encode_arguments
from celers_worker.core.task import NewTask
from celers_worker.core.timing import Timing

MOST_CAUGHT_UP = 1_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,127}", re.ASCII)


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


class Source(StrEnum):
    """Who says what a schedule is; a later one goes before an earlier one."""

    CODE = "code"
    CONFIGURATION = "configuration"
    DATABASE = "database"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A name, a task with its arguments and options, and when it is enqueued."""

    name: str
    task: str
    timing: Timing
    payload: bytes = b"{}"
    options: Options = field(default_factory=Options)
    policies: Policies = Policies()
    source: Source = Source.DATABASE

    def new_task(self, tick: datetime, *, now: datetime, due: datetime | None = None) -> NewTask:
        """The task for *tick*. Its metadata name the schedule and the tick.

        It is due after the jitter, or at *due*; that which is past is due now.
        """
        due = due or tick + self.delay_of(tick)
        noted = {"schedule": self.name, "tick": instant_text(tick)}
        options = Options(
            metadata={**(self.options.metadata or {}), **noted}, at=due if due > now else None
        )
        return options.over(self.options).task(self.task, self.payload)

    def delay_of(self, tick: datetime) -> timedelta:
        """The jitter of *tick*: the same whoever computes it, and spread evenly."""
        if not self.policies.jitter:
            return timedelta(0)
        digest = hashlib.sha256(f"{self.name} {instant_text(tick)}".encode()).digest()
        share = int.from_bytes(digest[:6]) / 2**48
        milliseconds = int(share * (self.policies.jitter / timedelta(milliseconds=1)))
        return timedelta(milliseconds=milliseconds)

    def resolved(self, handler: Handler | None) -> Schedule:
        """With the options of its task's handler where it says nothing itself.

        Raises ConfigurationError if the handler cannot be called with its arguments.
        """
        if handler is None:
            return self
        defaults = Options(
            queue=handler.queue,
            priority=handler.priority,
            max_retries=handler.max_retries,
        )
        return replace(self, options=self.options.over(defaults))


def check_schedule_name(name: object) -> str:
    """Return *name*, or raise ConfigurationError saying what a schedule may be called."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{name!r} cannot name a schedule: use 1 to 128 ASCII letters, digits, '_', '-', '.' and "
        "':', starting with a letter, a digit or '_'."
    )


def make_schedule(
    name: str,
    task: str,
    timing: Timing,
    *,
    arguments: Mapping[str, Any] | None = None,
    options: Options | None = None,
    policies: Policies = Policies(),
    handler: Handler | None = None,
    source: Source = Source.DATABASE,
) -> Schedule:
    """A schedule whose every part has been checked; *handler* checks the arguments.

    Raises ConfigurationError, or PayloadError for arguments that are no JSON.
    """
    given: Mapping[str, Any] = arguments or {}
    if handler is not None:
        try:
            given = handler.check_arguments((), given)
        except PayloadError as error:
            raise ConfigurationError(
                f"the schedule {name!r} cannot call its task: {error}"
            ) from None
    return Schedule(
        name=check_schedule_name(name),
        task=check_task_name(task),
        timing=timing,
        payload=encode_arguments(given),
        options=check_options(options or Options()),
        policies=policies,
        source=source,
    ).resolved(handler)


def check_options(options: Options) -> Options:
    """Return *options* if a schedule may have them. Raises ConfigurationError."""
    instead = {"at": "cron or every", "delay": "jitter", "unique_key": "overlap"}
    for name, other in instead.items():
        if getattr(options, name) is not None:
            raise ConfigurationError(f"a schedule cannot have the option {name}: see {other}.")
    return options


def policies_of(
    *,
    misfire: str | None = None,
    misfire_after: Duration | None = None,
    catch_up: int | None = None,
    overlap: str | None = None,
    jitter: Duration | None = None,
) -> Policies:
    """Policies from what people write; None is the default. Raises ConfigurationError."""
    default = Policies()
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


def instant_text(instant: datetime) -> str:
    """An instant in UTC as text, always written alike."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


Word = TypeVar("Word", bound=StrEnum)


def _word(kind: type[Word], name: str, value: object) -> Word:
    words = [word.value for word in kind]
    if value in words:
        return kind(value)
    raise ConfigurationError(
        f"{name} is {value!r}: write one of {', '.join(words)}.{nearest(str(value), words)}"
    )


def _duration(name: str, value: Duration | None, default: timedelta) -> timedelta:
    return default if value is None else min(parse_duration(value, name=name), LONGEST)
