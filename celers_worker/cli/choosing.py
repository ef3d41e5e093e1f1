"""Which tasks are meant: ids and filters, the same for every command, and the types of options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from celers_worker.core.duration import parse_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import check_queue_name, check_schedule_name, check_task_name
from celers_worker.core.task import TaskState

if TYPE_CHECKING:
    from celers_worker.store.inspect import TaskFilter

Function = TypeVar("Function", bound=Callable[..., Any])


class Checked(click.ParamType):  # type: ignore[type-arg]  # before click 8.5 it takes none
    """A type read by one of our own checks, whose errors say what to write instead."""

    def __init__(self, name: str, read: Callable[[str, str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text of an option or an argument."""
        if not isinstance(value, str):
            return value
        is_option = isinstance(param, click.Option)
        name = max(param.opts, key=len) if param is not None and is_option else self.name
        try:
            return self._read(value, name)
        except ConfigurationError as error:
            where = "" if not is_option or str(error).startswith(name) else f"{name}: "
            raise ConfigurationError(f"{where}{error}") from None


def _duration(text: str, option: str) -> timedelta:
    return parse_duration(text, name=option)


def _queue(text: str, option: str) -> str:
    return check_queue_name(text)


def _name(text: str, option: str) -> str:
    return check_task_name(text)


def _schedule(text: str, option: str) -> str:
    return check_schedule_name(text)


def _task_id(text: str, option: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ConfigurationError(
            f"{text[:80]!r} is no task id: copy a whole one from `celers task list`."
        ) from None


def _workflow_id(text: str, option: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ConfigurationError(
            f"{text[:80]!r} is no workflow id: copy a whole one from `celers workflow list`."
        ) from None


def _instant(text: str, option: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{option} is {text[:80]!r}: write an instant such as 2030-01-31T08:00:00Z."
        ) from None
    if instant.utcoffset() is None:
        raise ConfigurationError(
            f"{option} is {text!r}, which has no time zone, so nobody knows which instant it is: "
            "end it with Z or an offset such as +02:00."
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(f"{option} is {text!r}: the year is out of range.") from None


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key or set(key) & {'"', "\\"}:
        raise ConfigurationError(
            f"{option} is {text[:80]!r}: write KEY=VALUE, without quotes or backslashes in the key."
        )
    return key, value


DURATION = Checked("duration", _duration)
PAIR = Checked("key=value", _pair)
QUEUE = Checked("queue", _queue)
TASK_NAME = Checked("name", _name)
SCHEDULE = Checked("schedule", _schedule)
TASK_ID = Checked("id", _task_id)
WORKFLOW_ID = Checked("id", _workflow_id)
INSTANT = Checked("instant", _instant)

#: Not a state of its own: pending, and not due yet.
SCHEDULED = "scheduled"
STATES = click.Choice([*(state.value for state in TaskState), SCHEDULED])


def _options(*decorators: Callable[[Any], Any]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


#: Filters that make sense for dead tasks too.
common_filters = _options(
    click.option("-q", "--queue", type=QUEUE, help="Only of this queue."),
    click.option("--name", type=TASK_NAME, help="Only of this name."),
    click.option("--error", metavar="TEXT", help="Only with this in their error."),
    click.option(
        "--older-than",
        type=DURATION,
        metavar="DURATION",
        help="Only older than this, such as 2h: since the enqueue, or since a dead task's death.",
    ),
    click.option(
        "--newer-than",
        type=DURATION,
        metavar="DURATION",
        help="Only not older than this, such as 10m.",
    ),
    click.option("--fingerprint", metavar="TEXT", help="Only with this fingerprint."),
    click.option("--tag", metavar="TEXT", help="Only with this tag."),
    click.option(
        "--metadata",
        multiple=True,
        type=PAIR,
        metavar="KEY=VALUE",
        help="Only with this in their metadata; repeatable.",
    ),
)
live_filters = _options(
    click.option(
        "-s",
        "--state",
        "states",
        multiple=True,
        type=STATES,
        help="Only in this state; repeatable.",
    ),
    click.option("--worker", metavar="ID", help="Only run by the worker with this id."),
    click.option("--unique-key", metavar="TEXT", help="Only with this unique key."),
)


def filter_of(
    chosen: dict[str, Any], *, ids: Sequence[UUID] = (), states: Sequence[TaskState] = ()
) -> TaskFilter:
    """The filter that the options *chosen* describe; *states* goes before theirs."""
    from celers_worker.store.inspect import TaskFilter

    named = chosen.get("states", ())
    wanted = states or [TaskState(state) for state in named if state != SCHEDULED]
    return TaskFilter(
        ids=list(dict.fromkeys(ids)),
        states=wanted,
        queue=chosen.get("queue"),
        name=chosen.get("name"),
        worker=chosen.get("worker"),
        fingerprint=chosen.get("fingerprint"),
        tag=chosen.get("tag"),
        unique_key=chosen.get("unique_key"),
        text=chosen.get("error"),
        older_than=chosen.get("older_than"),
        newer_than=chosen.get("newer_than"),
        scheduled=SCHEDULED in named,
        metadata=dict(chosen.get("metadata", ())),
    )


def limit_option(default: int, *names: str) -> Callable[[Function], Function]:
    """``--limit`` for a list, and other *names* of it."""
    return click.option(
        *names,
        "--limit",
        type=click.IntRange(1, 10_000),
        metavar="N",
        default=default,
        show_default=True,
        help="Show at most so many.",
    )


def limited(function: Function) -> Function:
    """Add ``--limit`` and ``--after`` to a command that lists tasks."""
    for decorator in (
        click.option("--after", "--before", "after", type=TASK_ID, metavar="CURSOR", help=_AFTER),
        limit_option(50),
    ):
        function = decorator(function)
    return function


_AFTER = "Go on after this task, the last of an earlier list."


def require_choice(
    chosen: dict[str, Any], ids: Sequence[UUID], *, everything: bool | None, verb: str
) -> None:
    """Refuse to act on everything by accident, and on ids and everything at once."""
    filtered = any(value not in (None, ()) for value in chosen.values())
    hint = ", or --all" if everything is not None else ""
    if not (ids or filtered or everything):
        raise ConfigurationError(
            f"which tasks to {verb}? Give ids, or filters such as --queue and --error{hint}."
        )
    if everything and (ids or filtered):
        raise ConfigurationError(f"--all means every task: {verb} by ids or filters without it.")
    if ids and filtered:
        raise ConfigurationError(f"{verb} by ids or by filters, not by both.")


def unknown(task_id: UUID) -> str:
    """Say that there is no such task."""
    return f"there is no task {task_id}, or its retention is over. See: celers task list"
