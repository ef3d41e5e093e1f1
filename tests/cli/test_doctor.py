"""``celers doctor`` tells what is wrong, why, and what mends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from celers_worker.store import enqueue_function, make_direct_store, migrate, sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.server import known_faults, server_of
from tests.cli import rows
from tests.cli.shell import Answer, celers, done, errors

on_servers = pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)


#: How the tests' own server is, for it need not survive the loss of its machine.
FRAGILE = ("fsync is off", "full_page_writes is off")


def findings(answer: Answer, severity: str) -> list[str]:
    return [
        one["what"]
        for one in answer.json
        if one["severity"] == severity and one["what"] not in FRAGILE
    ]


@pytest.fixture
def own(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the test's own, for its tables change."""
    monkeypatch.setenv("CELERS_DATABASE_URL", database_url)
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
    return database_url


def execute(url: str, *statements: str) -> None:
    with make_direct_store(url) as direct, direct.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_sound_database_has_nothing_wrong(direct: DirectStore) -> None:
    faults = direct.run(lambda transaction: known_faults(server_of(transaction.connection)))
    answer = done("doctor", "--interop", "--format", "json")
    assert findings(answer, "error") == []
    assert findings(answer, "warning") == faults
    shown = done("doctor", "--interop")
    assert shown.out.endswith("nothing is wrong.\n") is (answer.json == [])


def test_tasks_that_a_foreign_worker_took_are_told(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)
    rows.change(direct, task_id, state="processing", started_at=sql.now(), worker_id=None)
    assert done("doctor").code == 0, "without --interop nobody looks"
    answer = celers("doctor", "--interop")
    assert answer.code == 1
    assert "1 tasks are processing without a worker: a CeleRS worker took them" in answer.out
    assert "mend: stop the CeleRS workers" in answer.out
    assert errors(answer)[-1] == "1 thing to mend, see above."


def test_rows_that_nobody_adopts_and_ended_ones_are_told(direct: DirectStore) -> None:
    waiting, ended = rows.waiting(direct, 2)
    rows.change(
        direct, waiting, queue_name="", created_at=sql.later(-90), scheduled_at=sql.later(-90)
    )
    rows.change(direct, ended, state="completed")
    answer = celers("doctor", "--interop", "--format", "json")
    assert answer.code == 1
    [error] = findings(answer, "error")
    assert error.startswith("1 tasks of foreign producers have waited over a minute")
    assert any("state that is none of a live task" in one for one in findings(answer, "warning"))


def test_strict_fails_for_warnings_too(direct: DirectStore) -> None:
    [ended] = rows.waiting(direct)
    rows.change(direct, ended, state="completed")
    assert done("doctor", "--interop").code == 0
    assert celers("doctor", "--interop", "--strict").code == 1


@on_servers
def test_a_check_that_does_not_know_our_states_is_told_with_what_drops_it(own: str) -> None:
    execute(
        own,
        "ALTER TABLE celers_tasks ADD CONSTRAINT chk_state CHECK (state IN"
        " ('pending','processing','completed','failed','cancelled'))",
    )
    answer = celers("doctor", "--interop", "--format", "json")
    assert answer.code == 1
    [finding] = [one for one in answer.json if one["severity"] == "error"]
    assert "chk_state" in finding["what"]
    assert "'blocked'" in finding["what"]
    execute(own, finding["mend"])
    assert done("doctor", "--interop").code == 0


@on_servers
def test_a_wrong_column_type_is_told_with_what_mends_it(own: str) -> None:
    wrong = {
        "postgresql": "ALTER TABLE celers_workers ALTER COLUMN host TYPE VARCHAR(20)",
        "mysql": "ALTER TABLE celers_workers MODIFY heartbeat_at TIMESTAMP",
    }
    execute(own, wrong[own.split(":")[0]])
    answer = celers("doctor", "--format", "json")
    assert answer.code == 1
    [finding] = [one for one in answer.json if one["severity"] == "error"]
    assert finding["what"].startswith("the column celers_workers.")
    execute(own, finding["mend"])
    assert done("doctor").code == 0


@on_servers
def test_a_missing_table_and_a_missing_function_are_told(own: str) -> None:
    drop = enqueue_function.DROP[own.split(":")[0]]
    execute(own, drop)
    answer = done("doctor", "--format", "json")
    assert findings(answer, "warning") == ["celers_enqueue is missing"]
    assert "has celers_enqueue" in done("migrate", "function").err + done("migrate", "function").out
    assert findings(done("doctor", "--format", "json"), "warning") == []
    execute(own, "DROP TABLE celers_queues")
    answer = celers("doctor", "--format", "json")
    assert answer.code == 1
    assert findings(answer, "error")[0].startswith("the table celers_queues is missing")


@on_servers
def test_a_database_without_tables_says_to_migrate(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERS_DATABASE_URL", database_url)
    answer = celers("doctor", "--interop", "--format", "json")
    assert answer.code == 1
    [finding] = answer.json
    assert "has no Celers tables" in finding["what"]
    assert finding["mend"] == "celers migrate"


def test_a_file_that_does_not_exist_is_not_made(workplace: Path) -> None:
    assert done("doctor", "--interop").code == 0
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_a_server_that_is_not_in_utc_is_told(own: str) -> None:
    # The zone of the whole server cannot be changed here; a session's default is looked at as is.
    with make_direct_store(own) as direct:
        before = direct.run(lambda transaction: _zone(transaction))
        offset = direct.run(lambda transaction: transaction.producers_offset())
        assert direct.run(lambda transaction: _zone(transaction)) == before == "+00:00"
    found = findings(celers("doctor", "--interop", "--format", "json"), "error")
    assert bool(offset) == any("NOW() of a new session" in one for one in found)


def _zone(transaction: object) -> str:
    connection = transaction.connection  # type: ignore[attr-defined]  # it is a Transaction
    return str(connection.execute(text("SELECT @@session.time_zone")).scalar_one())


@on_servers
def test_a_column_and_an_index_that_drifted_are_told_with_what_mends_them(own: str) -> None:
    postgres = own.startswith("postgres")
    strict = {
        True: "ALTER TABLE celers_workers ALTER COLUMN wanted_by SET NOT NULL",
        False: "ALTER TABLE celers_workers MODIFY wanted_by VARCHAR(255) CHARACTER SET utf8mb4"
        " COLLATE utf8mb4_bin NOT NULL",
    }
    execute(
        own,
        strict[postgres],
        "ALTER TABLE celers_queues ADD COLUMN tenant INTEGER NOT NULL",
        f"DROP INDEX idx_dlq_failed_at{'' if postgres else ' ON celers_dead_letter_queue'}",
    )
    answer = celers("doctor", "--format", "json")
    assert answer.code == 1
    missing = "the index idx_dlq_failed_at of celers_dead_letter_queue is missing"
    assert findings(answer, "warning") == [missing]
    found = {one["what"]: one["mend"] for one in answer.json if one["what"] not in FRAGILE}
    assert set(found) == {
        "the column celers_workers.wanted_by is NOT NULL, and Celers leaves it empty",
        "the column celers_queues.tenant is none of Celers', NOT NULL and has no default",
        missing,
    }
    execute(own, *(mend.partition("  (")[0] for mend in found.values()))
    answer = done("doctor", "--format", "json")
    assert (findings(answer, "error"), findings(answer, "warning")) == ([], [])


def test_work_that_nobody_does_fails_the_doctor(direct: DirectStore) -> None:
    rows.waiting(direct)
    answer = celers("doctor")
    assert answer.code == 1
    assert "error  1 tasks are due, and no worker lives." in answer.out
    assert "mend: celers worker" in answer.out
