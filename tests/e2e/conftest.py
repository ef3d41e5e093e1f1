from collections.abc import Iterator
from pathlib import Path

import pytest

from celers_worker.store import make_direct_store, migrate
from tests.e2e.project import Project


@pytest.fixture
def project(database_url: str, tmp_path: Path) -> Iterator[Project]:
    direct = make_direct_store(database_url)
    migrate.upgrade(direct)
    made = Project(database_url, tmp_path, direct)
    yield made
    made.close()
