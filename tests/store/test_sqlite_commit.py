"""A commit of SQLite's that fails, and of which nobody knows whether it came through."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import Any

import pytest

from celers_worker.core.errors import Unavailable
from celers_worker.store.sqlite import SQLiteStore
from celers_worker.store.transaction import Transaction
from tests.store.conftest import OpenStore


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_what_shared_a_commit_that_failed_is_told_so_and_not_run_again(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store()
    assert isinstance(store, SQLiteStore)
    dialect = store._running_writer()._engine.dialect
    commit = dialect.do_commit
    ran: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def commit_and_fail(connection: Any) -> None:
        commit(connection)
        if ran:
            raise sqlite3.OperationalError("disk I/O error")

    def wait(transaction: Transaction) -> None:
        begun.set()
        assert go_on.wait(30)

    def run(transaction: Transaction, number: int) -> None:
        ran.append(number)

    monkeypatch.setattr(dialect, "do_commit", commit_and_fail)
    first = asyncio.create_task(store.run(wait))
    assert await asyncio.to_thread(begun.wait, 30)
    both = [asyncio.create_task(store.run(run, number)) for number in range(2)]
    await asyncio.sleep(0)  # now they wait for the writer, and will be in one commit
    go_on.set()
    await first
    for one in both:
        with pytest.raises(Unavailable):
            await one
    assert sorted(ran) == [0, 1]
