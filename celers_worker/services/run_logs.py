"""Run logs: what handlers write to their logs, on its way to the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from uuid import UUID

from celers_worker.core.context import Context
from celers_worker.core.errors import Unavailable
from celers_worker.core.events import Events
from celers_worker.core.run_log import RunLog
from celers_worker.core.watch_events import RunLogsLost
from celers_worker.services.identity import Identity
from celers_worker.store import Store, run_logs


class RunLogs:
    """Keeps the logs of runs until they are written: when a run is settled, and at heartbeats.

    A line costs no statement, and a handler that writes none costs nothing at all.
    """

    def __init__(
        self, events: Events, store: Store, identity: Identity, *, lines: int, size: int
    ) -> None:
        """*lines* and *size*, in bytes, bound what is kept of one run; no lines: nothing is."""
        self._events = events
        self._store = store
        self._identity = identity
        self._lines = lines
        self._size = size
        self._lock = threading.Lock()
        self._unwritten: dict[tuple[UUID, int], Context] = {}

    def add(self, context: Context, level: str, text: str) -> None:
        """Take a line that the handler of *context* wrote; from any thread."""
        if not self._lines:
            return
        with self._lock:
            log = context.log_lines
            if log is None:
                log = context.log_lines = RunLog(lines=self._lines, size=self._size)
            log.add(time.time(), level, text)
            self._unwritten[context.task.id, context.task.lease] = context

    async def write_of(self, runs: Iterable[tuple[UUID, int]]) -> None:
        """Write what these runs, by task and lease, have not written. Raises Unavailable."""
        if self._unwritten:
            await self._write([run for run in runs if run in self._unwritten])

    async def write(self) -> None:
        """Write what is not written of any run. Raises Unavailable."""
        if self._unwritten:
            await self._write(list(self._unwritten))

    async def _write(self, runs: Iterable[tuple[UUID, int]]) -> None:
        with self._lock:
            found = [(run, self._unwritten.pop(run)) for run in runs]
        logs = [(one.task, one.log_lines.written()) for _, one in found if one.log_lines]
        if not logs:
            return
        try:
            await self._store.run(run_logs.keep, self._identity.id, logs)
        except Unavailable:
            with self._lock:
                self._unwritten = dict(found) | self._unwritten
            raise
        except Exception as error:
            # A log that cannot be stored must not keep a task from being settled.
            self._events.emit(RunLogsLost([task for task, _ in logs], error))
