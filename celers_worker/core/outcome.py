"""What a run came to, and what follows from it. Pure: no clock, no database.

``max_retries = N`` means 1 + N runs. A run counts when its handler failed, timed out, or its
worker died with it; a release, a snooze and a shutdown do not count.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from celers_worker.core import signals
from celers_worker.core.errors import PayloadError
from celers_worker.core.exceptions import fields_of, type_name
from celers_worker.core.foreign import retry_policy
from celers_worker.core.payload import encode_result
from celers_worker.core.retry import RetryPolicy
from celers_worker.core.task import Task

if TYPE_CHECKING:
    from celers_worker.core.handler import Handler

#: Longer texts are cut in the middle: the first frames and the last line are what people read.
MESSAGE_LIMIT = 4_000
TRACEBACK_LIMIT = 32_000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one attempt failed: the exception's type, message and traceback, cut to a bound.

    ``data``: the fields of an exception that its handler declares, as JSON.
    """

    type: str
    message: str
    traceback: str = ""
    data: bytes | None = None

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; ``result`` is its value as JSON, or None for None.

    With a value go the seconds its run took, the codec if it is not JSON, and how long it is kept
    if that is not for ``[retention] results`` to say.
    """

    result: bytes | None = None
    runtime: float | None = field(default=None, compare=False)
    codec: str | None = None
    keep: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and another is allowed, after ``delay``."""

    delay: timedelta
    failure: Failure


@dataclass(frozen=True, slots=True)
class Release:
    """Given back unrun or snoozed; the attempt does not count. No ``delay``: it keeps its place."""

    delay: timedelta | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Stopped on request."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expired:
    """Its time to live ran out before it was started."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Will not be tried again: attempts are used up, or trying again cannot help.

    ``runtime`` and ``keep`` as of Completed; what is kept is the failure.
    """

    reason: str
    failure: Failure
    runtime: float | None = field(default=None, compare=False)
    keep: timedelta | None = None


Outcome: TypeAlias = Completed | Retry | Release | Cancelled | Expired | Dead


class Decided(Exception):
    """What a run in another process came to, decided there; raised on the way to the settler."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(getattr(outcome, "failure", "")) or type(outcome).__name__.lower())
        self.outcome = outcome


class Settlement(msgspec.Struct, frozen=True):
    """An outcome on its way to the database, with the lease that entitles to write it."""

    task: Task
    outcome: Outcome


def outcome_of_crash(
    *,
    retry_count: int,
    crash_count: int,
    max_retries: int,
    max_crashes: int,
    worker: str,
    how: str | None = None,
) -> Release | Dead:
    """Decide about a task whose worker died with it: the counts are those before this crash.

    *how* the worker ended, if somebody saw it. The task goes back if attempts are left. One that
    keeps killing its workers is poison: it is dead after ``max_crashes`` of them, whatever its
    attempts.
    """
    failure = worker_lost(worker, how)
    last = f", the last one of {how}" if how else ""
    attempt = retry_count + crash_count + 1
    if crash_count + 1 >= max_crashes:
        return Dead(f"poison: {crash_count + 1} workers died with it{last}", failure)
    if attempt > max_retries:
        return Dead(f"attempt {attempt} of {max_retries + 1} died with its worker", failure)
    return Release(reason=str(failure))


def is_suspect(crash_count: int, max_crashes: int) -> bool:
    """Whether a task that so many workers died with would be buried by one more crash."""
    return crash_count >= max(max_crashes - 1, 1)


def worker_lost(worker: str, how: str | None = None) -> Failure:
    """Why a run never reported: its worker is gone."""
    what = "stopped renewing its lease" if how is None else f"ended: {how}"
    return Failure("WorkerLost", f"worker {worker} {what}")


#: The outcome of most runs.
NOTHING = Completed()
_AT_ONCE = timedelta(0)


def outcome_of_value(
    value: object, handler: Handler | None = None, *, runtime: float | None = None
) -> Outcome:
    """Turn what a handler returned into an outcome; *runtime*: the seconds that it took.

    A result that cannot be stored does not repeat work that was done: the task is dead, at once.
    """
    if value is None:
        return NOTHING
    try:
        if handler is None:
            return Completed(encode_result(value), runtime)
        if handler.result_ttl == _AT_ONCE:
            return NOTHING
        codec = None if handler.codec is None else handler.codec.name
        return Completed(handler.encode_result(value), runtime, codec, handler.result_ttl)
    except PayloadError as error:
        return Dead("its result cannot be stored", failure_of(error), runtime)


def outcome_of_failure(
    task: Task, error: BaseException, handler: Handler, *, runtime: float | None
) -> Outcome:
    """``outcome_of_error`` by what *handler* declares, with what is kept of a final failure."""
    if isinstance(error, Decided):
        return error.outcome
    if isinstance(error, signals.Complete):
        return outcome_of_value(error.result, handler, runtime=runtime)
    outcome = outcome_of_error(task, error, retry_policy(task.metadata, handler.retry))
    if not isinstance(outcome, Dead):
        return outcome
    failure = replace(outcome.failure, data=fields_of(error, handler.raises))
    return Dead(outcome.reason, failure, runtime, handler.result_ttl)


def outcome_of_error(task: Task, error: BaseException, policy: RetryPolicy) -> Outcome:
    """Turn what a handler raised into an outcome: the whole retry policy of Celers."""
    match error:
        case signals.Snooze():
            return Release(error.after, _message_of(error))
        case signals.Cancel():
            return Cancelled(_message_of(error))
        case signals.Complete():
            return outcome_of_value(error.result)
        case signals.Dead():
            return Dead(_message_of(error), failure_of(error))
        case _ if task.is_last_attempt:
            return Dead(used_up(task), failure_of(error))
        case signals.Retry(after=timedelta() as after):
            return Retry(after, failure_of(error))
        case signals.Retry():
            return Retry(policy.delay(task.attempt, error, task.queue), failure_of(error))
        case _ if not policy.allows(error):
            return Dead(f"{type(error).__name__} is not retried", failure_of(error))
        case _:
            return Retry(policy.delay(task.attempt, error, task.queue), failure_of(error))


def used_up(task: Task) -> str:
    """Why *task* is dead whose last attempt failed."""
    return f"attempt {task.attempt} of {task.max_retries + 1} failed"


def failure_of(error: BaseException) -> Failure:
    """Describe *error*; never fails itself, whatever the exception's own methods do."""
    name = type_name(type(error))
    try:
        trace = "".join(traceback.format_exception(error))
    except BaseException:  # the user's exception, in its own __str__
        trace = "(its traceback cannot be shown)"
    return Failure(_storable(name, 255), _message_of(error), _storable(trace, TRACEBACK_LIMIT))


def _message_of(error: BaseException) -> str:
    """What *error* says, bounded; a user's __str__ may raise anything, SystemExit too."""
    try:
        message = str(error)
    except BaseException:  # as above
        message = "(its message cannot be shown: __str__ failed)"
    return _storable(message, MESSAGE_LIMIT)


def _storable(text: str, limit: int) -> str:
    """Cut the middle of *text*, and escape what no database holds: NUL and lone surrogates."""
    # Escaped it is longer, so it is cut again.
    escaped = _cut(text, limit).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return _cut(escaped, limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2 - 10
    return f"{text[:half]}\n… cut …\n{text[-half:]}"
