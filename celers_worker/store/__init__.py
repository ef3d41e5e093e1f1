"""The only package that speaks SQL. ``make_store`` and ``make_direct_store`` are its doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celers_worker.store.base import Store, StoreOptions
from celers_worker.store.direct import DirectStore
from celers_worker.store.urls import driver_url

if TYPE_CHECKING:
    from sqlalchemy import URL

    from celers_worker.store.transaction import Transaction


def make_store(url: str, options: StoreOptions | None = None) -> Store:
    """The asynchronous store for *url*, not connected yet. The one place that picks a dialect."""
    target = driver_url(url, synchronous=False)
    options = options or StoreOptions()
    match target.get_backend_name():
        case "postgresql":
            from celers_worker.store.postgres.store import PostgresStore

            return PostgresStore(target, options)
        case "mysql":
            from celers_worker.store.mysql import MySQLStore

            return MySQLStore(target, options)
        case _:
            from celers_worker.store.sqlite import SQLiteStore

            return SQLiteStore(target, options)


def make_direct_store(url: str, options: StoreOptions | None = None) -> DirectStore:
    """The synchronous store for *url*, not connected yet."""
    target = driver_url(url, synchronous=True)
    return DirectStore(target, options or StoreOptions(), transaction_class(target))


def transaction_class(url: URL) -> type[Transaction]:
    """What does the work inside a transaction of the database behind *url*."""
    match url.get_backend_name():
        case "postgresql":
            from celers_worker.store.postgres.transaction import PostgresTransaction

            return PostgresTransaction
        case "mysql":
            from celers_worker.store.mysql import MySQLTransaction

            return MySQLTransaction
        case _:
            from celers_worker.store.transaction import Transaction

            return Transaction


__all__ = ["DirectStore", "Store", "StoreOptions", "make_direct_store", "make_store"]
