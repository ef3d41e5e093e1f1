"""What the conformance tests start from: a migrated database and stores on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from celers_worker.store import Store, StoreOptions, make_direct_store, make_store, migrate
from celers_worker.store.direct import DirectStore


@pytest.fixture
def migrated_url(database_url: str) -> str:
    """A new database with our tables."""
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
    return database_url


@pytest.fixture
def direct(migrated_url: str) -> Iterator[DirectStore]:
    """The synchronous store."""
    with make_direct_store(migrated_url) as opened:
        yield opened


@pytest.fixture
async def open_store(migrated_url: str) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Opens as many stores on one database as a test wants: each is a worker's own."""
    opened: list[Store] = []

    async def open_another() -> Store:
        store = make_store(migrated_url, StoreOptions())
        opened.append(store)
        await store.open()
        return store

    yield open_another
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Callable[[], Awaitable[Store]]) -> Store:
    """The asynchronous store."""
    return await open_store()
