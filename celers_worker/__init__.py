"""A task queue in the database you already have: PostgreSQL, MySQL/MariaDB or a SQLite file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from celers_worker.version import __version__ as __version__

if TYPE_CHECKING:
    from celers_worker.app import Celers, EnqueuedTask
    from celers_worker.core import backoff
    from celers_worker.core.context import Context
    from celers_worker.core.errors import CelersError, ResultTimeout, TaskFailed
    from celers_worker.core.middleware import Middleware
    from celers_worker.core.options import Options
    from celers_worker.core.signals import Cancel, Dead, Retry, Snooze
    from celers_worker.thread import WorkerThread
    from celers_worker.worker import Worker

__all__ = [
    "Cancel",
    "Celers",
    "CelersError",
    "Context",
    "Dead",
    "EnqueuedTask",
    "Middleware",
    "Options",
    "ResultTimeout",
    "Retry",
    "Snooze",
    "TaskFailed",
    "Worker",
    "WorkerThread",
    "backoff",
]

_HOMES = {
    "app": ("Celers", "EnqueuedTask"),
    "core": ("backoff",),
    "core.errors": ("CelersError", "ResultTimeout", "TaskFailed"),
    "core.context": ("Context",),
    "core.middleware": ("Middleware",),
    "core.options": ("Options",),
    "core.signals": ("Cancel", "Dead", "Retry", "Snooze"),
    "thread": ("WorkerThread",),
    "worker": ("Worker",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `celers --help` needs no SQLAlchemy."""
    for home, names in _HOMES.items():
        if name in names:
            module = import_module(f"celers_worker.{home}")
            # backoff is a module, the others are names in one.
            return (
                import_module(f"{module.__name__}.{name}")
                if name == "backoff"
                else getattr(module, name)
            )
    raise AttributeError(f"module 'celers_worker' has no attribute {name!r}")
