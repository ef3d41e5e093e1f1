"""The same hints for callers without a loop, on psycopg: a worker never needs its 10 MiB."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import URL

from celers_worker.store.ended import EndedPause
from celers_worker.store.postgres.ended import LOCK_PATIENCE
from celers_worker.store.postgres.settling import ENDED_CHANNEL, WAITING_LOCK


class PostgresEndedPause(EndedPause):
    """Hints for a caller without a loop, on a connection made at the first pause that is long."""

    #: A shorter pause is over before one could listen, in seconds.
    _WORTH_IT = 0.05

    def __init__(self, url: URL, arguments: Mapping[str, Any]) -> None:
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._arguments = arguments
        self._connection: psycopg.Connection[Any] | None = None
        self._given_up = self._holds_lock = False

    def wait(self, seconds: float) -> None:
        """Wait for a hint, at most so long. Where one cannot listen, time does."""
        if self._given_up or (self._connection is None and seconds < self._WORTH_IT):
            super().wait(seconds)
            return
        try:
            if self._connection is None:
                self._listen()
                return  # and look at once: what ended before was not told of
            self._take_lock()
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error:
            self.close()
            self._given_up = True

    def close(self) -> None:
        """Close the connection; the server gives the lock back."""
        connection, self._connection, self._holds_lock = self._connection, None, False
        if connection is not None:
            connection.close()

    def _listen(self) -> None:
        self._connection = psycopg.connect(self._url, autocommit=True, **self._arguments)
        self._connection.execute(f"SET lock_timeout = {LOCK_PATIENCE}")
        self._connection.execute(f"LISTEN {ENDED_CHANNEL}")
        self._take_lock()

    def _take_lock(self) -> None:
        if self._connection is None or self._holds_lock:
            return
        with suppress(psycopg.errors.LockNotAvailable):  # another who waits has it
            self._connection.execute(f"SELECT pg_advisory_lock({WAITING_LOCK})")
            self._holds_lock = True
