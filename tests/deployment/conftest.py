"""Databases for what of the examples asks one."""

from __future__ import annotations

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
