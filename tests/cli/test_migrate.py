import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from celers_worker.store import make_direct_store, migrate
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import HEAD, metadata
from tests.cli import rows
from tests.cli.shell import celers, done, errors, run


@pytest.fixture
def empty_url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database without tables, which ``celers`` uses by default."""
    monkeypatch.setenv("CELERS_DATABASE_URL", database_url)
    return database_url


def applied(url: str) -> list[bool]:
    with make_direct_store(url) as store:
        return [revision.applied for revision in migrate.revisions(store)]


def test_migrate_makes_the_tables_and_is_safe_to_repeat(empty_url: str) -> None:
    assert "no Celers tables" in celers("check").err or empty_url.startswith("sqlite")

    assert "applied 0001" in done("migrate").out
    assert all(applied(empty_url))
    assert done("migrate", "up").out.endswith("is up to date: nothing to apply.\n")


def test_plan_shows_what_would_be_done_and_does_not_do_it(empty_url: str) -> None:
    missing = done("migrate", "plan", "--format", "json").json
    assert [one["revision"] for one in missing][-1] == HEAD
    assert not any(one["applied"] for one in missing)
    assert "missing" in done("migrate", "plan").lines[1]
    assert not any(applied(empty_url))

    done("migrate")
    assert done("migrate", "plan").out == "nothing to apply.\n"
    assert all(one["applied"] for one in done("migrate", "status", "--format", "json").json)


def test_down_undoes_the_newest_migration_once_it_is_confirmed(empty_url: str) -> None:
    done("migrate")

    answer = celers("migrate", "down")
    assert (answer.code, all(applied(empty_url))) == (2, True)
    assert "confirm with --yes" in answer.err
    assert done("migrate", "down", "--yes").out.startswith(f"undid {HEAD} on ")
    assert not applied(empty_url)[-1]


def test_what_down_would_undo_is_told_and_stays(empty_url: str) -> None:
    assert done("migrate", "down", "--dry-run").out == "would undo nothing.\n"
    done("migrate")
    assert done("migrate", "down", "--dry-run").out.startswith(f"would undo {HEAD}: ")
    assert all(applied(empty_url))
    with make_direct_store(empty_url) as store:
        rows.waiting(store)
    refused = celers("migrate", "down", "--dry-run")
    assert (refused.code, "1 live tasks would be lost" in refused.err) == (1, True)
    assert f"would undo {HEAD}" in done("migrate", "down", "--dry-run", "--force").out


def test_down_keeps_live_tasks_unless_forced(empty_url: str) -> None:
    done("migrate")
    with make_direct_store(empty_url) as store:
        rows.waiting(store)

    answer = celers("migrate", "down", "--yes")
    assert (answer.code, errors(answer)) == (
        1,
        ["1 live tasks would be lost. Let them end, or: celers migrate down --force"],
    )
    done("migrate", "down", "--yes", "--force")
    assert not applied(empty_url)[-1]


def test_two_migrations_at_once_both_end_well(empty_url: str) -> None:
    def up(_: int) -> subprocess.CompletedProcess[str]:
        return run("migrate")

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(up, range(2)))

    assert [end.returncode for end in ends] == [0, 0], [end.stderr for end in ends]
    assert all(applied(empty_url))


@pytest.mark.parametrize("scheme", ["sqlite", "postgresql", "mysql"])
def test_sql_prints_every_table_and_connects_to_nothing(scheme: str) -> None:
    url = f"{scheme}://nobody@nowhere.invalid/x" if scheme != "sqlite" else "sqlite:///x.db"

    script = done("--database", url, "migrate", "--sql").out
    for table in metadata.tables:
        assert f"CREATE TABLE {table}" in script
    assert done("--database", url, "migrate", "sql").out == script
    assert "celers_tasks" not in done("--database", url, "migrate", "sql", "--since", HEAD).out


def test_migrations_wait_for_no_application(direct: DirectStore) -> None:
    assert done("migrate", "status").lines[-1].split()[:2] == [HEAD, "applied"]
