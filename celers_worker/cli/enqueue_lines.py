"""``celers enqueue NAME --stdin``: a task for each line of JSON, in batches of a thousand."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import IO, TYPE_CHECKING, Any

from celers_worker.cli.batches import Brake, counting
from celers_worker.cli.choosing import INSTANT
from celers_worker.cli.failure import Failed, Interrupted
from celers_worker.cli.output import count
from celers_worker.core.errors import CelersError, ConfigurationError, PayloadError
from celers_worker.core.names import nearest

if TYPE_CHECKING:
    from celers_worker.core.options import Options
    from celers_worker.core.task import Enqueued, NewTask

#: Tasks in one transaction.
BATCH = 1_000
#: A stream that pauses so long, in seconds, gets what it has brought written.
LINGER = 1.0
#: So many bad lines are told one by one.
_TOLD = 20


@dataclass(slots=True)
class Summary:
    """What became of the lines."""

    lines: int = 0
    added: int = 0
    existing: int = 0

    def __str__(self) -> str:
        told = f"added {count(self.added, 'task')}"
        if self.existing:
            told += f", found {self.existing:,} that had their unique keys"
        return told


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its number, from 1."""

    number: int
    content: bytes


def enqueue_lines(
    stream: IO[bytes],
    task_of: Callable[[bytes], NewTask],
    write: Callable[[list[NewTask]], list[Enqueued]],
    tell: Callable[[list[Enqueued]], None],
) -> Summary:
    """Add a task for each line of *stream*; a thousand lines are added as a whole or not at all.

    Raises ConfigurationError with the numbers of all bad lines of a thousand before it is written,
    and Interrupted after Ctrl-C; each says what was added before.
    """
    summary = Summary()
    with Brake() as brake, counting("Enqueueing") as advance:
        for lines in _batches(stream, brake):
            tasks = _tasks(lines, task_of, summary)
            try:
                added = write(tasks)
            except CelersError as error:
                if not summary.lines:
                    raise
                raise Failed(str(error), f"{summary} of the lines before.") from error
            tell(added)
            existing = [one.existing for one in added].count(True)
            summary.lines = lines[-1].number
            summary.added += len(added) - existing
            summary.existing += existing
            advance(len(added))
        if brake.pulled:
            raise Interrupted(
                f"{summary}, up to line {summary.lines:,}; what comes after was not read."
            )
    return summary


def _tasks(
    lines: list[Line], task_of: Callable[[bytes], NewTask], summary: Summary
) -> list[NewTask]:
    tasks: list[NewTask] = []
    problems: list[str] = []
    for line in lines:
        try:
            tasks.append(task_of(line.content))
        except (ConfigurationError, PayloadError) as error:
            problems += [f"line {line.number:,}: {problem}" for problem in str(error).splitlines()]
    if not problems:
        return tasks
    if len(problems) > _TOLD:
        problems = [*problems[:_TOLD], f"and {len(problems) - _TOLD:,} more bad lines."]
    first, last = lines[0].number, lines[-1].number
    before = f"{summary} of the lines before." if summary.lines else "Nothing was added before."
    raise ConfigurationError(
        *problems, f"lines {first:,} to {last:,} go together, so none was added. {before}"
    )


def _batches(stream: IO[bytes], brake: Brake) -> Iterator[list[Line]]:
    """Lists of lines that are not empty, until the stream or the patience of a person ends."""
    coming: queue.Queue[Line | OSError | None] = queue.Queue(2 * BATCH)
    reader = threading.Thread(target=_read, args=(_own(stream), coming), daemon=True)
    reader.start()
    batch: list[Line] = []
    begun = time.monotonic()
    while not brake.pulled:
        line: Line | OSError | None = Line(0, b"")
        with suppress(queue.Empty):
            line = coming.get(timeout=0.1)
        if line is None:
            break
        if isinstance(line, OSError):
            raise line
        if line.content:
            begun = begun if batch else time.monotonic()
            batch.append(line)
        if batch and (len(batch) == BATCH or time.monotonic() - begun > LINGER):
            yield batch
            batch = []
    if batch and not brake.pulled:
        yield batch


def _own(stream: IO[bytes]) -> IO[bytes]:
    """*stream* by a reader of its own: at exit a waiting one would hold the lock of sys.stdin."""
    try:
        return open(stream.fileno(), "rb", closefd=False)
    except OSError:
        return stream


def _read(stream: IO[bytes], coming: queue.Queue[Line | OSError | None]) -> None:
    """Read lines in a thread: nothing can be done about a read that waits."""
    try:
        for number, content in enumerate(stream, start=1):
            coming.put(Line(number, content.strip()))
    except OSError as error:
        coming.put(error)
    coming.put(None)


# --- what a line holds ---


def arguments_in(content: bytes) -> dict[str, Any]:
    """The arguments of a line that is an object of them."""
    return _object(content)


def record_in(content: bytes) -> tuple[dict[str, Any], Options]:
    """The arguments and the options of a line that is a record.

    ``{"arguments": {"to": "ada"}, "queue": "emails", "delay": "5m"}``
    """
    from celers_worker.core.options import Options

    record = _object(content)
    arguments = record.pop("arguments", {})
    if not isinstance(arguments, dict):
        raise ConfigurationError('"arguments" must be an object.')
    known = [field.name for field in fields(Options) if field.init]
    if unknown := [name for name in record if name not in known]:
        raise ConfigurationError(
            f"a record has no {unknown[0][:80]!r}.{nearest(unknown[0], ['arguments', *known])}"
        )
    if not isinstance(record.get("metadata", {}), dict):
        raise ConfigurationError('"metadata" must be an object.')
    if isinstance(record.get("at"), str):
        record["at"] = INSTANT.convert(record["at"], None, None)
    return arguments, Options(**record)


def _object(content: bytes) -> dict[str, Any]:
    from celers_worker.core.payload import decode

    try:
        value = decode(content)
    except PayloadError as error:
        raise ConfigurationError(
            f"{error} Write one JSON object a line; `jq -c .` makes one of several."
        ) from None
    if not isinstance(value, dict):
        raise ConfigurationError('this is no JSON object, such as {"to": "ada"}.')
    return value
