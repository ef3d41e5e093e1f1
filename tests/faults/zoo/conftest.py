"""Projects, as the end-to-end tests have them."""

from __future__ import annotations

from tests.e2e.conftest import (
    everywhere,
    migrated_mysql,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    project,
    pytest_collection_modifyitems,
)

__all__ = [
    "everywhere",
    "migrated_mysql",
    "migrated_postgres",
    "migrated_sqlite",
    "migrated_url",
    "project",
    "pytest_collection_modifyitems",
]
