"""What queues, tasks and schedules may be called: one answer wherever a name is given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from celers_worker.core.errors import ConfigurationError

# No colon in a queue's name: `--queue reports:4` ends it there.
_QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}", re.ASCII)
_TASK = re.compile(r"[A-Za-z_][A-Za-z0-9_.:\-]{0,254}", re.ASCII)
_SCHEDULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,127}", re.ASCII)


def check_queue_name(name: object) -> str:
    """Return *name*, or raise ConfigurationError saying what a queue may be called."""
    if isinstance(name, str) and _QUEUE.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{name!r} cannot name a queue: use 1 to 128 ASCII letters, digits, '_', '-' and '.', "
        "starting with a letter, a digit or '_'."
    )


def check_task_name(name: object) -> str:
    """Return *name*, or raise ConfigurationError saying what a task may be called."""
    if isinstance(name, str) and _TASK.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{name!r} cannot name a task: use 1 to 255 ASCII letters, digits, '_', '-', '.' and ':', "
        "starting with a letter or '_'."
    )


def versioned(name: str, version: object) -> str:
    """The name in the database of a task's *version*: ``send``, then ``send:2``.

    Raises ConfigurationError if *version* is not a whole number from 1.
    """
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= 999_999:
        raise ConfigurationError(f"version is {version!r}: it must be a whole number from 1.")
    return name if version == 1 else check_task_name(f"{name}:{version}")


def split_version(name: str) -> tuple[str, int]:
    """The name and the version of a task's name in the database."""
    stem, colon, number = name.rpartition(":")
    return (stem, int(number)) if colon and number.isascii() and number.isdigit() else (name, 1)


def check_schedule_name(name: object) -> str:
    """Return *name*, or raise ConfigurationError saying what a schedule may be called."""
    if isinstance(name, str) and _SCHEDULE.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{name!r} cannot name a schedule: use 1 to 128 ASCII letters, digits, '_', '-', '.' and "
        "':', starting with a letter, a digit or '_'."
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` with a space before it, or nothing if no known name is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""
