"""PostgreSQL without an event loop: psycopg, with the server's own limits."""

from __future__ import annotations

import os
import socket
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import URL, Connection, Engine

from celers_worker.store.curfew import CURFEW
from celers_worker.store.direct import DirectStore
from celers_worker.store.ended import EndedPause
from celers_worker.store.postgres import pooling
from celers_worker.store.postgres.connecting import whichever_writes
from celers_worker.store.postgres.ended_direct import PostgresEndedPause
from celers_worker.store.postgres.session import as_options, settings_of, without_settings
from celers_worker.store.postgres.transaction import PostgresTransaction
from celers_worker.store.tls import tls_of, without_tls


class PostgresDirectStore(DirectStore):
    """The synchronous store on PostgreSQL."""

    transaction = PostgresTransaction

    @property
    def _engine_url(self) -> URL:
        return without_settings(without_tls(self.url))

    def ended_pause(self) -> EndedPause:
        """NOTIFY tells, on a connection of its own; behind a pooler time does."""
        if self.options.pooled:
            return super().ended_pause()
        return PostgresEndedPause(self._engine_url, self._connect_arguments())

    def _bounded(self, connection: Connection) -> AbstractContextManager[None]:
        """A second after the server should have ended the statement, end the connection.

        A server that is frozen ends nothing, its kernel answers for it, and psycopg waits for ever.
        """
        raw: Any = connection.connection.driver_connection

        def cut() -> None:
            with socket.socket(fileno=os.dup(raw.fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)

        return CURFEW.after(self.call_seconds + 1, cut)

    def _connect_arguments(self) -> dict[str, Any]:
        milliseconds = self.call_seconds * 1000
        common = {
            **whichever_writes(self.url),
            **tls_of(self.url).libpq,
            "connect_timeout": self.connect_seconds,
            "application_name": "celers",
            "tcp_user_timeout": milliseconds,
        }
        wanted = settings_of(self.url)
        if self.options.pooled:
            common |= {"options": as_options(wanted)} if wanted else {}
            return common | {"prepare_threshold": None}
        # The server ends what takes too long, and who falls silent with locks in his hands; a
        # server that is gone, the socket does.
        ours = {
            "statement_timeout": f"{milliseconds}",
            "idle_in_transaction_session_timeout": f"{milliseconds}",
        }
        return common | {"options": as_options({**ours, **wanted})}

    def _make_engine(self) -> Engine:
        engine = super()._make_engine()
        if self.options.pooled:
            pooling.limit(engine, self.options)
        return engine
