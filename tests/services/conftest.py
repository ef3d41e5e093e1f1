"""Crews of services that do not run by themselves: the tests call ``tick()``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from celers_worker import Celers
from celers_worker.config import load_config
from celers_worker.store import make_store
from tests.services.crews import Staff, configured
from tests.services.desk import Desk
from tests.store.conftest import (
    direct,
    migrated_mysql,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    open_store,
    pytest_collection_modifyitems,
    store,
)

__all__ = [
    "direct",
    "migrated_mysql",
    "migrated_postgres",
    "migrated_sqlite",
    "migrated_url",
    "open_store",
    "pytest_collection_modifyitems",
    "store",
]

MakeStaff = Callable[..., Awaitable[Staff]]


@pytest.fixture
async def make_staff(migrated_url: str) -> AsyncIterator[MakeStaff]:
    """Builds workers' services on one database; nothing of them runs yet."""
    made: list[Staff] = []

    async def make(app: Celers, *, url: str = migrated_url, **settings: object) -> Staff:
        config = configured(url, **settings)
        staff = Staff(app, config, make_store(url, Staff.options(config)))
        made.append(staff)
        await staff.store.open()
        return staff

    yield make
    for staff in made:
        await staff.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A runner whose outcomes are kept in a list."""
    opened = Desk(Celers())
    yield opened
    await opened.close()


@pytest.fixture
async def app(migrated_url: str) -> AsyncIterator[Celers]:
    """An application on a database of its own, for workers that run for real."""
    app = Celers()
    flags = {"database.url": migrated_url, "worker.settle_interval": 0}
    app.client.config = load_config(environment={}, flags=flags).config
    yield app
    await app.close()
