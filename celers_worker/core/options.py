"""What a producer may say about one task, checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import msgspec

from celers_worker.core.duration import Duration, parse_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler
from celers_worker.core.names import check_queue_name, check_task_name
from celers_worker.core.payload import check_json, check_text
from celers_worker.core.task import MAX_RETRIES_LIMIT, PRIORITY_RANGE, UNIQUE_KEY_BYTES, NewTask
from celers_worker.core.uniqueness import OPTIONS as UNIQUENESS
from celers_worker.core.uniqueness import (
    check_complete,
    check_on_conflict,
    check_span,
    uniqueness_of,
)

#: Years that every database can hold, with room for time zones and delays.
YEARS = range(1970, 9000)
#: Where tags are kept in a task's metadata.
TAGS = "tags"
MOST_TAGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of an enqueue; None leaves what the handler declares, or the default.

    ``at`` is an aware datetime; a past one is due now. ``expires`` counts from now: a task that has
    not started by then ends as expired. ``unique_key``: while a live task has it, no other is
    added; ``unique_for``, ``on_conflict``, ``debounce`` and ``debounce_max`` say more about it, see
    ``core.uniqueness``. ``fingerprint`` and ``tags`` are labels to find and cancel tasks by; tags
    are kept in ``metadata``.
    """

    queue: str | None = None
    priority: int | None = None
    max_retries: int | None = None
    delay: Duration | None = None
    at: datetime | None = None
    timeout: Duration | None = None
    expires: Duration | None = None
    unique_key: str | None = None
    fingerprint: str | None = None
    metadata: Mapping[str, Any] | None = None
    unique_for: Duration | None = None
    on_conflict: Literal["return", "replace", "raise"] | None = None
    debounce: Duration | None = None
    debounce_max: Duration | None = None
    tags: Sequence[str] | None = None
    _given: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)
    _fields: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)
    """What is given, as fields of a NewTask."""

    def __post_init__(self) -> None:
        """Check every option. Raises ConfigurationError, or PayloadError for ``metadata``."""
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None:
                self._given[name] = check(value)
                object.__setattr__(self, name, self._given[name])
        object.__setattr__(self, "_fields", _new_task_fields(self._given))

    def over(self, other: Options) -> Options:
        """These options where they say something, else those of *other*."""
        return Options(**(other._given | self._given))

    def due_at(self, when: datetime) -> Options:
        """These options for a task that is due at *when*. Raises ConfigurationError."""
        return Options(**self._without_due("enqueue_at"), at=_instant(when))

    def due_after(self, delay: Duration) -> Options:
        """These options for a task that is due after *delay*. Raises ConfigurationError."""
        return Options(
            **self._without_due("enqueue_after"), delay=parse_duration(delay, name="delay")
        )

    def _without_due(self, method: str) -> dict[str, Any]:
        for name in ("at", "delay"):
            if name in self._given:
                raise ConfigurationError(
                    f"{method}() and the option {name} both say when the task is due: choose one."
                )
        return self._given

    def task(self, name: str, payload: bytes, handler: Handler | None = None) -> NewTask:
        """The task to add, with the defaults of its handler where that is known here."""
        if "uniqueness" in self._fields:
            check_complete(self._given)
        if handler is None:
            return NewTask(name=check_task_name(name), payload=payload, **self._fields)
        task = NewTask(
            name=handler.name,
            payload=payload,
            queue=handler.queue,
            priority=handler.priority,
            max_retries=handler.max_retries,
        )
        return msgspec.structs.replace(task, **self._fields) if self._fields else task


def _new_task_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in given.items() if name not in (*UNIQUENESS, "tags")}
    if (uniqueness := uniqueness_of(given)) is not None:
        fields["uniqueness"] = uniqueness
        if uniqueness.debounce is not None:
            fields["delay"] = uniqueness.debounce
    if tags := given.get("tags"):
        fields["metadata"] = {**(given.get("metadata") or {}), TAGS: list(tags)}
    return fields


def check_priority(value: object) -> int | None:
    """Return a priority within 32 bits, or raise ConfigurationError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value not in PRIORITY_RANGE:
        raise ConfigurationError(
            f"priority is {value!r}: it must be a whole number of 32 bits; higher runs first."
        )
    return value


def check_max_retries(value: object) -> int | None:
    """Return a number of retries, or raise ConfigurationError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RETRIES_LIMIT:
        raise ConfigurationError(
            f"max_retries is {value!r}: it must lie between 0 and {MAX_RETRIES_LIMIT}; "
            "a task runs at most once more than that."
        )
    return value


def check_timeout(value: Duration | None) -> timedelta | None:
    """Return a timeout, or raise ConfigurationError."""
    if value is None:
        return None
    timeout = parse_duration(value, name="timeout")
    if timeout <= timedelta(0):
        raise ConfigurationError(f"timeout is {value!r}: it must be longer than nothing.")
    return timeout


def check_ttl(value: Duration | None) -> timedelta | None:
    """Return how long a result is kept, zero for not at all, or raise ConfigurationError."""
    return None if value is None else parse_duration(value, name="result_ttl")


def _instant(at: object) -> datetime:
    if not isinstance(at, datetime):
        raise ConfigurationError(f"at is {at!r}: pass a datetime with a time zone, or use delay.")
    if at.tzinfo is None or at.utcoffset() is None:
        raise ConfigurationError(
            f"at is {at.isoformat()}, which has no time zone, so nobody knows which instant it is. "
            "Write datetime(…, tzinfo=UTC), or use delay."
        )
    if at.year not in YEARS:
        raise ConfigurationError(
            f"at is {at.isoformat()}: the year must lie between {YEARS[0]} and {YEARS[-1]}."
        )
    return at


def _label(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or value != value.strip():
        raise ConfigurationError(
            f"{name} is {value!r}: it must be text, not empty, without blanks at its ends."
        )
    check_text(value, name)
    if len(value.encode()) > UNIQUE_KEY_BYTES:
        raise ConfigurationError(
            f"{name} takes {len(value.encode())} bytes as UTF-8; "
            f"at most {UNIQUE_KEY_BYTES} can be stored."
        )
    return value


def _json_object(value: Mapping[str, Any]) -> Mapping[str, Any]:
    check_json(dict(value), "metadata")
    return value


def check_tags(value: object) -> tuple[str, ...]:
    """Return tags, each once, or raise ConfigurationError."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationError(f'tags is {value!r}: pass a list, such as ["tenant:7"].')
    tags = tuple(dict.fromkeys(_label("a tag", tag) for tag in value))
    if len(tags) > MOST_TAGS:
        raise ConfigurationError(f"there are {len(tags)} tags: a task has at most {MOST_TAGS}.")
    return tags


#: How each option is read.
_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "queue": check_queue_name,
    "priority": check_priority,
    "max_retries": check_max_retries,
    "delay": partial(parse_duration, name="delay"),
    "at": _instant,
    "timeout": check_timeout,
    "expires": partial(parse_duration, name="expires"),
    "unique_key": partial(_label, "unique_key"),
    "fingerprint": partial(_label, "fingerprint"),
    "metadata": _json_object,
    "unique_for": partial(check_span, name="unique_for"),
    "on_conflict": check_on_conflict,
    "debounce": partial(check_span, name="debounce"),
    "debounce_max": partial(check_span, name="debounce_max"),
    "tags": check_tags,
}
