"""An application on an empty database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from celers_worker import Celers
from celers_worker.config import load_config
from tests.store.conftest import (
    direct,
    migrated_mysql,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    pytest_collection_modifyitems,
)

__all__ = [
    "direct",
    "migrated_mysql",
    "migrated_postgres",
    "migrated_sqlite",
    "migrated_url",
    "pytest_collection_modifyitems",
]


@pytest.fixture
async def app(migrated_url: str) -> AsyncIterator[Celers]:
    """Its worker, where a test runs one, does not wait for anything."""
    app = Celers()
    flags = {
        "database.url": migrated_url,
        "worker.settle_interval": 0,
        "worker.heartbeat_interval": "200ms",  # so often it asks which tasks are cancelled
    }
    app.client.config = load_config(environment={}, flags=flags).config
    yield app
    await app.close()
