"""Projects, as the end-to-end tests have them.

The zoo runs with ``--faults full`` only (make faults-full): some of its scenarios fail on a machine
with two cores, three tests at a time, and it is not known yet whether the worker is at fault.
"""

from __future__ import annotations

from pathlib import Path

import pytest

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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """None lets pytest decide."""
    return None if config.getoption("faults") == "full" else True
