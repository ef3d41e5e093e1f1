"""`celers grants` prints what a role needs; tests/roles has what comes of it."""

from __future__ import annotations

import pytest

from celers_worker.store.direct import DirectStore
from tests.cli.shell import celers, done, errors


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
@pytest.mark.parametrize("role", ["producer", "worker", "viewer", "operator"])
def test_a_role_gets_its_grants_for_a_user(direct: DirectStore, role: str) -> None:
    answer = done("grants", "--role", role, "--user", "ada")
    statements = [line for line in answer.lines if not line.startswith("--")]
    assert all(line.startswith("GRANT ") and line.endswith(";") for line in statements)
    assert all("ada" in line for line in statements)
    assert "secret" not in answer.out


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_file_has_no_users(direct: DirectStore) -> None:
    answer = celers("grants", "--role", "viewer")
    assert answer.code == 2
    [problem] = errors(answer)
    assert "chmod 600" in problem
