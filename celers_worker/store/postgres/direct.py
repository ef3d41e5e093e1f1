"""PostgreSQL without an event loop: psycopg, with the server's own limits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL

from celers_worker.store.direct import DirectStore
from celers_worker.store.postgres.transaction import PostgresTransaction
from celers_worker.store.tls import tls_of, without_tls


class PostgresDirectStore(DirectStore):
    """The synchronous store on PostgreSQL."""

    transaction = PostgresTransaction

    @property
    def _engine_url(self) -> URL:
        return without_tls(self.url)

    def _connect_arguments(self) -> dict[str, Any]:
        milliseconds = self.call_seconds * 1000
        return {
            **tls_of(self.url).libpq,
            "connect_timeout": self.connect_seconds,
            "application_name": "celers",
            # The server ends what takes too long, and who falls silent with locks in his hands; a
            # server that is gone, the socket does.
            "options": f"-c statement_timeout={milliseconds}"
            f" -c idle_in_transaction_session_timeout={milliseconds}",
            "tcp_user_timeout": milliseconds,
        }
