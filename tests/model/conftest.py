"""The databases of the conformance tests."""

from tests.store.conftest import (
    migrated_mysql,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    pytest_collection_modifyitems,
)

__all__ = [
    "migrated_mysql",
    "migrated_postgres",
    "migrated_sqlite",
    "migrated_url",
    "pytest_collection_modifyitems",
]
