"""A schedule: what is enqueued, when, and what becomes of a tick that comes late or too early."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.handler import Handler
from celers_worker.core.names import check_schedule_name, check_task_name
from celers_worker.core.options import Options
from celers_worker.core.payload import encode_arguments
from celers_worker.core.policies import DEFAULT_POLICIES, Policies
from celers_worker.core.task import NewTask
from celers_worker.core.timing import Timing


class Source(StrEnum):
    """Who says what a schedule is; a later one goes before an earlier one."""

    CODE = "code"
    CONFIGURATION = "configuration"
    DATABASE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A name, a task with its arguments and options, and when it is enqueued."""

    name: str
    task: str
    timing: Timing
    payload: bytes = b"{}"
    options: Options = field(default_factory=Options)
    policies: Policies = DEFAULT_POLICIES
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
        """With the options of its task's handler where it says nothing itself."""
        if handler is None:
            return self
        defaults = Options(
            queue=handler.queue,
            priority=handler.priority,
            max_retries=handler.max_retries,
        )
        return replace(self, options=self.options.over(defaults))


def make_schedule(
    name: str,
    task: str,
    timing: Timing,
    *,
    arguments: Mapping[str, Any] | None = None,
    options: Options | None = None,
    policies: Policies = DEFAULT_POLICIES,
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


def instant_text(instant: datetime) -> str:
    """An instant in UTC as text, always written alike."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
