"""Traces: what a run may leave behind in its process that the next run would meet."""

from __future__ import annotations

import asyncio
import contextlib
import locale
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM)


def traces() -> Mapping[str, object]:
    """The state of the process that all runs share, by words for it."""
    return {
        "its current directory": _directory(),
        "its umask": _umask(),
        "its environment": dict(os.environ),
        "its signal handlers": [signal.getsignal(number) for number in _SIGNALS],
        "its locale": locale.setlocale(locale.LC_ALL),
        "its logging": logging.root.manager.disable,
        "its event loop policy": type(asyncio.get_event_loop_policy()),
        "its threads": threading.active_count(),
        "its standard streams": [_file(number) for number in range(3)],
        "its children": _children() or len(multiprocessing.active_children()),
    }


def difference(before: Mapping[str, object]) -> str | None:
    """What a run has changed since *before*, in words; None if nothing."""
    changed = [name for name, value in traces().items() if value != before[name]]
    return f"the run changed {', '.join(changed)}" if changed else None


def _directory() -> str | None:
    with contextlib.suppress(OSError):  # it was removed
        return os.getcwd()
    return None


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _file(number: int) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):  # closed
        status = os.fstat(number)
        return status.st_dev, status.st_ino
    return None


def _children() -> bool:
    """Whether a process that a handler has started still runs, where the system tells."""
    with contextlib.suppress(OSError):
        lists = Path("/proc/self/task").glob("*/children")
        return any(file.read_text().strip() for file in lists)
    return False
