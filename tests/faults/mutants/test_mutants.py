"""Does the alarm ring? Each broken worker is noticed by a test, and the whole one by none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.e2e.project import REPOSITORY
from tests.faults.mutants.mutants import MUTANTS

FAILED = 1


def run(mutant: str, database: str, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-x",
                "--db",
                database,
                "-p",
                "no:cacheprovider",
            ),
            *("-p", "tests.faults.mutants.breeding", *tests),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "CELERS_MUTANT": mutant},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", sorted({one.database for one in MUTANTS.values()}))
def test_the_whole_worker_passes_what_the_mutants_fail(database: str) -> None:
    tests = [one.caught_by for one in MUTANTS.values() if one.database == database]
    ended = run("", database, *tests)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_worker_is_noticed(name: str) -> None:
    ended = run(name, MUTANTS[name].database, MUTANTS[name].caught_by)
    assert ended.returncode == FAILED, f"the mutant {name} survived:\n{ended.stdout}"
    # By the test itself, not because the mutant cannot even be imported.
    test = MUTANTS[name].caught_by.rpartition("::")[2]
    assert f"::{test}" in ended.stdout
    assert "1 failed" in ended.stdout
