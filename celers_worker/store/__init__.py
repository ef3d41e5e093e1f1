"""The only package that speaks SQL. ``make_store`` and ``make_direct_store`` are its doors."""

from __future__ import annotations

from celers_worker.store.base import SILENCE, Store, StoreOptions
from celers_worker.store.direct import DirectStore
from celers_worker.store.urls import driver_url


def make_store(url: str, options: StoreOptions | None = None) -> Store:
    """The asynchronous store for *url*, not connected yet; ``backends`` picks its class."""
    target, backend = driver_url(url, synchronous=False)
    return backend.store_class(target, options or StoreOptions())


def make_direct_store(url: str, options: StoreOptions | None = None) -> DirectStore:
    """The synchronous store for *url*, not connected yet."""
    target, backend = driver_url(url, synchronous=True)
    return backend.direct_class(target, options or StoreOptions())


__all__ = [
    "SILENCE",
    "DirectStore",
    "Store",
    "StoreOptions",
    "make_direct_store",
    "make_store",
]
