"""PostgreSQL without an event loop: psycopg, with the server's own limits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from celers_worker.store.direct import DirectStore
from celers_worker.store.postgres import pooling
from celers_worker.store.postgres.transaction import PostgresTransaction


class PostgresDirectStore(DirectStore):
    """The synchronous store on PostgreSQL."""

    transaction = PostgresTransaction

    def _connect_arguments(self) -> dict[str, Any]:
        milliseconds = self.call_seconds * 1000
        common = {
            "connect_timeout": self.connect_seconds,
            "application_name": "celers",
            "tcp_user_timeout": milliseconds,
        }
        if self.options.pooled:
            return common | {"prepare_threshold": None}
        return common | {
            # The server ends what takes too long, and who falls silent with locks in his hands; a
            # server that is gone, the socket does.
            "options": f"-c statement_timeout={milliseconds}"
            f" -c idle_in_transaction_session_timeout={milliseconds}",
        }

    def _make_engine(self) -> Engine:
        engine = super()._make_engine()
        if self.options.pooled:
            pooling.limit(engine, self.options)
        return engine
