"""Stores for long work: one statement may take minutes, and so may whoever reads its rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from celers_worker.store import DirectStore, StoreOptions, make_direct_store

#: For one statement, and for the silence between two in one transaction.
PATIENCE = timedelta(minutes=10)


def patient_store(url: str, options: StoreOptions) -> DirectStore:
    """The store for *url*, not connected yet, whose calls may take long.

    On SQLite the time is that to wait for another's lock, and nobody holds one so long.
    """
    store = make_direct_store(url, options)
    if store.file is not None or options.call_timeout >= PATIENCE:
        return store
    store.close()
    return make_direct_store(url, replace(options, call_timeout=PATIENCE))
