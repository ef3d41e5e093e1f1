"""What a store's statements touch in its database, by the database's own account.

A watch is entered before the store connects, so that it sees the very statements that the store
sends, on the connections that it sends them over, with the settings it has given these.
"""

from __future__ import annotations

from celers_worker.store import Store
from tests.store.watching.watch import Touched, Watch


def watch_of(store: Store) -> Watch:
    """The watch for the database of *store*."""
    match store.url.get_backend_name():
        case "postgresql":
            from tests.store.watching.postgres import PostgresWatch

            return PostgresWatch(store)
        case "mysql":
            from tests.store.watching.mysql import MySQLWatch

            return MySQLWatch(store)
        case _:
            from tests.store.watching.sqlite import SQLiteWatch

            return SQLiteWatch(store)


__all__ = ["Touched", "Watch", "watch_of"]
