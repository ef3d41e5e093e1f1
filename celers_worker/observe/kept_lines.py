"""What a handler logs is kept with its task: ``context.log``, structlog, the standard library."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from celers_worker.core.run_log import run_here
from celers_worker.observe.redaction import redacted

#: In the entries of our own sentences, which are no handler's.
OURS = "_celers"
#: What is known of the task anyway, or of every line.
_KNOWN = frozenset(
    {"task", "id", "queue", "attempt", "trace", "worker", "process", "level", "timestamp", "event"}
)
_just_kept = threading.local()


def keep(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep an entry of structlog that a handler wrote; a processor, which changes nothing else."""
    if entry.pop(OURS, False):
        return entry
    context = run_here()
    if context is not None:
        text = redacted(_text(entry))
        if isinstance(logger, logging.Logger) and logger.isEnabledFor(_number(method)):
            _just_kept.text = str(entry.get("event", ""))
        context.keep_line(str(entry.get("level") or method), text)
    return entry


def _number(method: str) -> int:
    """The standard library's number of a level, by the method that logs at it."""
    return logging.getLevelNamesMapping().get(method.upper(), logging.ERROR)


class KeepingHandler(logging.Handler):
    """Keeps what handlers log through the standard library, in an application of its own.

    Where structlog writes into the standard library, its lines are kept already. In a process of
    ours all lines go through structlog.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record* if a handler wrote it."""
        with contextlib.suppress(Exception):  # logging must not stop what is logged
            context = run_here()
            if context is None:
                return
            kept, _just_kept.text = getattr(_just_kept, "text", None), None
            message = record.getMessage()
            if kept and kept in message:
                return
            if record.exc_info and record.exc_info[1] is not None:
                message += "\n" + _trace(record.exc_info[1])
            context.keep_line(record.levelname.lower(), redacted(message))


_handler = KeepingHandler()
_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Keep what goes through the standard library while a worker runs in this process."""
    global _users
    if any(getattr(one, "keeps_lines", False) for one in logging.getLogger().handlers):
        yield
        return
    with _lock:
        _users += 1
        logging.getLogger().addHandler(_handler)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                logging.getLogger().removeHandler(_handler)


def _text(entry: Mapping[str, Any]) -> str:
    """An entry as one text: its sentence, then what it says more."""
    text = str(entry.get("event", ""))
    more = [
        f"{key}={value if isinstance(value, str) else repr(value)}"
        for key, value in entry.items()
        if key not in _KNOWN and key != "exc_info"
    ]
    if more:
        text = f"{text} {' '.join(more)}"
    error = entry.get("exc_info")
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    return f"{text}\n{_trace(error)}" if isinstance(error, BaseException) else text


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
