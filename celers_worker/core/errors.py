"""The exceptions of Celers.

    CelersError
    ├── ConfigurationError   a setting, a declaration or an option is wrong; lists every problem
    ├── SchemaError          the database is not at this version's schema; names the command to run
    ├── PayloadError         arguments or a result cannot be stored; names the place in them
    ├── TaskNotFound         no task with this id, live, archived or dead
    ├── TaskFailed           the task that was waited for did not complete
    ├── ResultTimeout        the task that was waited for has not ended yet
    ├── ExportError          a file of an export is damaged, unfinished or newer; names the line
    └── StoreError           the database failed
        ├── Unavailable      it cannot be reached, or is full; the same call may work later
        └── Refused          it answered no, and will again: rights, a missing database

Each message says what happened, where, why and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class CelersError(Exception):
    """Everything Celers raises on purpose."""


class ConfigurationError(CelersError):
    """One or more settings are wrong.

    ``problems`` holds a sentence for each, so that a person mends them in one go.
    """

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))


class SchemaError(CelersError):
    """The tables are missing, older or newer than this version needs."""


class PayloadError(CelersError, ValueError):
    """A value cannot be stored as JSON; the message holds its path."""


class TaskNotFound(CelersError, LookupError):
    """No task with this id exists, live, archived or dead."""


class TaskFailed(CelersError):
    """The task ended without completing: ``state`` says how, ``error`` why."""

    def __init__(
        self, message: str, *, state: str, error: str | None, traceback: str | None
    ) -> None:
        super().__init__(message)
        self.state = state
        self.error = error
        self.traceback = traceback


class ResultTimeout(CelersError, TimeoutError):
    """The task did not end within the time given; it may still do so."""


class ExportError(CelersError):
    """A file of an export is damaged, not finished, or newer than this version; names the line."""


class StoreError(CelersError):
    """The database failed."""


class Unavailable(StoreError):
    """The database cannot be reached, is read-only, full or out of time; waiting may help.

    A write that ends so may or may not have happened.
    """


class Refused(StoreError):
    """The database answered no and will do so again: rights, a missing database or table."""
