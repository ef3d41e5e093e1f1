"""Where log lines go and what they look like: ours, and those of everybody else in the process."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

import structlog

from celers_worker.observe.kept_lines import keep
from celers_worker.observe.redaction import redacted

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_LEVELS["error"] = logging.ERROR


def configure_logs(
    level: str,
    style: str,
    stream: TextIO | None = None,
    *,
    process: str | None = None,
    worker: str | None = None,
) -> None:
    """Log to *stream* (stderr): readable on a terminal, JSON lines otherwise, as *style* says.

    *process* is said in every line, where several processes write to one place; *worker* in those
    for machines. Secrets are hidden in all of them.
    """
    output = _Steady(stream or sys.stderr)
    console = style == "console" or (style == "auto" and output.isatty())
    shown = structlog.processors.add_log_level
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    processors: list[Any] = [structlog.contextvars.merge_contextvars, shown]
    if process is not None:
        processors.append(lambda logger, method, entry: entry | {"process": process})
    processors.append(keep)
    if console:
        processors += [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=output.isatty(),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,  # the others show locals
            ),
        ]
    else:
        if worker is not None:
            processors.append(lambda logger, method, entry: {"worker": worker} | entry)
        processors += [
            stamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    # Of the whole line: a secret may be anywhere in it, in a traceback too.
    processors.append(lambda logger, method, line: redacted(line))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # One write for each line: those of several processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, output)),
        cache_logger_on_first_use=False,
    )


def set_level(level: str) -> None:
    """Write lines of *level* and above from now on, ours and everybody else's."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]))
    if any(isinstance(handler, _Foreign) for handler in logging.getLogger().handlers):
        adopt_foreign_logs(level)


def adopt_foreign_logs(level: str) -> None:
    """Write what goes through the standard library, of libraries and handlers, in the same form."""
    logging.basicConfig(handlers=[_Foreign()], level=_LEVELS[level], force=True)
    logging.captureWarnings(True)
    for library in ("alembic", "asyncio", "sqlalchemy"):  # theirs is not the operator's story
        logging.getLogger(library).setLevel(max(_LEVELS[level], logging.WARNING))


class _Foreign(logging.Handler):
    keeps_lines = True  # through structlog

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # logging must not stop what is logged
            structlog.get_logger().log(
                record.levelno,
                record.getMessage(),
                logger=record.name,
                **({"exc_info": record.exc_info} if record.exc_info else {}),
            )


class _Steady:
    """A stream that may be closed, full or read by nobody: a lost line must not stop a task."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()
