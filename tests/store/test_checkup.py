"""Each finding of the doctor, on a real server that has the trouble."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import create_engine, text

from celers_worker.store import maintenance, make_direct_store, migrate
from celers_worker.store.checkup import (
    bloat,
    clock,
    connections,
    examination,
    plan,
    rights,
    settings,
    work,
)
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, Severity
from celers_worker.store.direct import DirectStore
from tests import databases
from tests.store.steps import execute, new_task, worker_card
from tests.waiting import eventually_sync

USUAL = Thresholds()
on_servers = pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
on_mysql = pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def own(database_url: str) -> Iterator[DirectStore]:
    """A database of the test's own, for it is spoilt."""
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
        yield direct


#: How the tests' own server is, for it need not survive the loss of its machine.
FRAGILE = ("fsync is off", "full_page_writes is off")


def findings(direct: DirectStore, subject: Any, thresholds: Thresholds = USUAL) -> list[Finding]:
    found = direct.run(lambda transaction: list(subject(transaction, thresholds)))
    return [finding for finding in found if finding.what not in FRAGILE]


def one(direct: DirectStore, subject: Any, thresholds: Thresholds = USUAL) -> Finding:
    [finding] = findings(direct, subject, thresholds)
    assert finding.why
    assert finding.mend
    return finding


def restarted(url: str) -> DirectStore:
    """A store with fresh connections, for what a session is told when it begins."""
    return make_direct_store(url)


def register(direct: DirectStore, **changes: Any) -> None:
    direct.run(maintenance.register, worker_card(**changes), timedelta(minutes=5))


def test_a_sound_database_has_nothing_to_tell(direct: DirectStore) -> None:
    found = [finding.what for finding in examination.examine(direct, USUAL)]
    assert [what for what in found if what not in FRAGILE] == []


# --- settings ---


@on_postgres
def test_what_a_database_is_told_to_do_otherwise_is_told(own: DirectStore) -> None:
    name = own.url.database
    execute(own, f"ALTER DATABASE {name} SET synchronous_commit = off")
    execute(own, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    execute(own, "ALTER TABLE celers_tasks SET (autovacuum_enabled = false)")
    with restarted(own.url.render_as_string(hide_password=False)) as fresh:
        found = {one.what: one for one in findings(fresh, settings.examine)}
    assert found["synchronous_commit is off"].severity is Severity.WARNING
    assert found["autovacuum is off for celers_tasks"].severity is Severity.ERROR
    assert "transactions are serializable by default there" in found
    execute(own, found["autovacuum is off for celers_tasks"].mend)
    assert "autovacuum is off for celers_tasks" not in {
        one.what for one in findings(own, settings.examine)
    }


@on_postgres
def test_a_database_that_is_read_only_is_told(own: DirectStore) -> None:
    execute(own, f"ALTER DATABASE {own.url.database} SET default_transaction_read_only = on")
    with restarted(own.url.render_as_string(hide_password=False)) as fresh:
        assert one(fresh, settings.examine).severity is Severity.ERROR


@pytest.fixture
def admin(request: pytest.FixtureRequest, own: DirectStore) -> Iterator[Callable[..., Any]]:
    """Runs what our user may not do, in the same database; *undo* at the end of the test."""
    name, undone = own.url.database, []
    if own.url.get_backend_name() == "postgresql":
        server = request.getfixturevalue("postgres_server")
        connection: Any = psycopg.connect(
            f"postgresql://postgres@127.0.0.1:{server.port}/{name}", autocommit=True
        )
    else:
        server = request.getfixturevalue("mariadb_server")
        socket = str(server.directory / "server.sock")
        connection = pymysql.connect(
            unix_socket=socket, user="root", database=name, autocommit=True
        )

    def execute_as_admin(statement: str, *, undo: str | None = None) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(statement)
        if undo is not None:
            undone.append(undo)

    with contextlib.closing(connection):
        yield execute_as_admin
        for statement in reversed(undone):
            execute_as_admin(statement)


@on_mysql
def test_a_server_that_does_not_write_at_commit_is_told(
    own: DirectStore, admin: Callable[..., Any]
) -> None:
    before = execute(own, "SELECT @@global.innodb_flush_log_at_trx_commit")[0][0]
    packet = execute(own, "SELECT @@global.max_allowed_packet")[0][0]
    usual = {finding.what for finding in findings(own, settings.examine)}
    admin(
        "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
        undo=f"SET GLOBAL innodb_flush_log_at_trx_commit = {before}",
    )
    admin(
        "SET GLOBAL max_allowed_packet = 1048576",
        undo=f"SET GLOBAL max_allowed_packet = {packet}",
    )
    found = {finding.what for finding in findings(own, settings.examine)}
    assert "innodb_flush_log_at_trx_commit is 2, not 1" in found
    assert "max_allowed_packet is 1,048,576 bytes" in found
    assert "max_allowed_packet is 1,048,576 bytes" not in usual


@on_mysql
def test_a_session_that_is_not_as_it_was_asked_to_be_is_told(own: DirectStore) -> None:
    def spoilt(transaction: Any) -> list[Finding]:
        for statement in ("SET time_zone = '+05:00'", "SET NAMES latin1"):
            transaction.connection.execute(text(statement))
        try:
            return list(settings.examine(transaction, USUAL))
        finally:
            for statement in ("SET time_zone = '+00:00'", "SET NAMES utf8mb4"):
                transaction.connection.execute(text(statement))

    what = " ".join(finding.what for finding in own.run(spoilt))
    assert "the time zone of sessions is +05:00" in what
    assert "the characters of sessions are latin1" in what


@on_sqlite
def test_a_file_without_its_log_is_told(own: DirectStore) -> None:
    class Spoilt:
        """A transaction on the file as another program opens it."""

        def __init__(self, connection: Any) -> None:
            self.connection = connection

    file = str(own.file)
    own.close()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        [finding] = settings.examine(Spoilt(connection), USUAL)  # type: ignore[arg-type]  # see above
    engine.dispose()
    assert "journal mode is delete" in finding.what


# --- rights ---


@on_servers
def test_a_user_who_may_not_write_is_told_table_by_table(
    own: DirectStore, admin: Callable[..., Any]
) -> None:
    name = str(own.url.database)
    user = f"celers_reader_{name[-8:]}"
    postgres = own.url.get_backend_name() == "postgresql"
    if postgres:
        admin(f"CREATE ROLE {user} LOGIN", undo=f"DROP ROLE {user}")
        admin(
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}", undo=f"DROP OWNED BY {user}"
        )
    else:
        admin(f"CREATE USER {user} IDENTIFIED BY 'secret'", undo=f"DROP USER {user}")
        admin(f"GRANT SELECT ON {name}.* TO {user}")
    admin(f"GRANT INSERT, UPDATE, DELETE ON celers_workers TO {user}")
    limited = own.url.set(username=user, password="secret").render_as_string(hide_password=False)
    with make_direct_store(limited) as reader:
        found = findings(reader, rights.examine)
        told = [finding.what for finding in found]
        assert any("may not INSERT, UPDATE, DELETE celers_tasks" in what for what in told)
        assert not any("celers_workers" in what for what in told)
        assert any("partitions of celers_task_archive" in what for what in told) is postgres
        [tasks] = [finding for finding in found if finding.what.endswith(" celers_tasks")]
        admin(tasks.mend)
    with make_direct_store(limited) as reader:
        told = [finding.what for finding in findings(reader, rights.examine)]
    assert told
    assert not any(what.endswith(" celers_tasks") for what in told)


# --- connections ---


@on_servers
def test_a_pool_that_is_larger_than_the_server_allows_is_told(own: DirectStore) -> None:
    assert findings(own, connections.examine) == []
    finding = one(own, connections.examine, Thresholds(pool_size=100_000))
    assert finding.severity is Severity.ERROR
    assert "pool_size" in finding.mend


@on_servers
def test_many_workers_that_together_open_too_many_are_told(own: DirectStore) -> None:
    allowed = own.run(connections._allowed)
    assert allowed is not None
    each = allowed // 2
    for number in range(3):
        register(own, worker=f"w{number}")
    finding = one(own, connections.examine, Thresholds(pool_size=each - connections.HELD))
    assert finding.severity is Severity.WARNING
    assert finding.what.startswith("the 3 live workers open up to")


# --- clock ---


@pytest.mark.parametrize(("off", "words"), [(60.0, "ahead of"), (-60.0, "behind")])
def test_a_host_whose_clock_is_off_is_told(direct: DirectStore, off: float, words: str) -> None:
    def look(transaction: Any, thresholds: Thresholds) -> Iterator[Finding]:
        return clock.examine(transaction, thresholds, clock=lambda: time.time() + off)

    assert f"s {words} the database's" in one(direct, look).what
    assert findings(direct, clock.examine) == []


# --- the plan of a claim ---


def test_a_claim_whose_index_is_gone_is_told(own: DirectStore) -> None:
    assert findings(own, plan.examine) == []
    name = own.url.get_backend_name()
    index = plan.CLAIM_INDEX.get(name, plan.OTHER_CLAIM_INDEX)
    execute(own, f"DROP INDEX {index}{' ON celers_tasks' if name == 'mysql' else ''}")
    finding = one(own, plan.examine)
    assert finding.what == f"the index {index} of celers_tasks is missing"
    assert finding.severity is Severity.ERROR


@on_postgres
def test_an_index_that_was_left_half_built_is_told(
    own: DirectStore, admin: Callable[..., Any]
) -> None:
    admin("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_tasks_dequeue'::regclass")
    finding = one(own, plan.examine)
    assert finding.what == "a claim does not walk the index idx_tasks_dequeue"


@on_mysql
def test_an_index_that_the_server_is_told_to_ignore_is_told(own: DirectStore) -> None:
    execute(own, "ALTER TABLE celers_tasks ALTER INDEX idx_tasks_state_queue IGNORED")
    finding = one(own, plan.examine)
    assert "idx_tasks_state_queue" in finding.what
    execute(own, finding.mend.partition("  (")[0])
    assert findings(own, plan.examine) == []


# --- dead rows and snapshots ---


@on_servers
def test_whoever_holds_an_old_snapshot_is_told_with_what_ends_it(
    database_url: str, own: DirectStore, admin: Callable[..., Any]
) -> None:
    patient = Thresholds(snapshot=timedelta(0))
    postgres = database_url.startswith("postgres")
    if not postgres:
        assert findings(own, bloat.examine, patient) == [], "it may not see what others do"
        ours = "celers@'127.0.0.1'"
        admin(f"GRANT PROCESS ON *.* TO {ours}", undo=f"REVOKE PROCESS ON *.* FROM {ours}")
        own.engine.dispose()  # rights of the whole server are those of the login
    with contextlib.closing(databases.connect(database_url)) as it:
        cursor = it.cursor()
        cursor.execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ"
            if postgres
            else "START TRANSACTION WITH CONSISTENT SNAPSHOT"
        )
        cursor.execute("SELECT count(*) FROM celers_tasks")
        cursor.fetchall()
        finding = one(own, bloat.examine, patient)
        assert "the session" in finding.what
        assert findings(own, bloat.examine) == [], "it is not old yet"
        execute(own, finding.mend)
        eventually_sync(lambda: not findings(own, bloat.examine, patient))


@on_postgres
def test_dead_rows_are_told(own: DirectStore) -> None:
    execute(own, "ALTER TABLE celers_tasks SET (autovacuum_enabled = false)")
    own.enqueue([new_task() for _ in range(200)])
    execute(own, "DELETE FROM celers_tasks")

    def dead() -> list[Finding]:
        execute(own, "SELECT pg_stat_force_next_flush()")
        return findings(own, bloat.examine, Thresholds(dead_rows=100))

    [finding] = eventually_sync(dead)
    assert "200 dead rows beside 0 live ones" in finding.what


@on_sqlite
def test_a_log_that_is_never_folded_back_is_told(own: DirectStore) -> None:
    with contextlib.closing(sqlite3.connect(str(own.file))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM celers_tasks").fetchall()
        own.enqueue([new_task(payload=b"x" * 10_000) for _ in range(50)])
        finding = one(own, bloat.examine, Thresholds(wal_bytes=100_000))
        assert "-wal has" in finding.what


# --- work ---


def test_tasks_that_nobody_runs_are_told(direct: DirectStore) -> None:
    direct.enqueue([new_task(), new_task(delay=timedelta(hours=1))])
    assert one(direct, work.examine).what == "1 tasks are due, and no worker lives"
    register(direct, worker="w1", queues=["emials"], handlers=["sned"])
    unserved, unhandled = findings(direct, work.examine)
    assert unserved.what.startswith("1 tasks are due in the queue default")
    assert unhandled.what.endswith("Did you mean 'sned'?")
    register(direct, worker="w2")
    assert findings(direct, work.examine) == []
    for name in ("w1", "w2"):
        direct.run(maintenance.renew, name, timedelta(minutes=5), running=0, state="quiet")
    assert one(direct, work.examine).mend == "celers workers resume --all"


def test_orphans_are_told_with_what_takes_them_back(direct: DirectStore) -> None:
    direct.enqueue([new_task()])
    execute(direct, "UPDATE celers_tasks SET state = 'processing', worker_id = 'gone'")
    finding = one(direct, work.examine)
    assert finding.what == "1 tasks are processing, and no live worker has them"
    assert finding.mend == "celers maintain recover"


@on_servers
def test_what_may_not_be_looked_at_is_told_and_the_rest_is_looked_at(
    own: DirectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.enqueue([new_task()])

    def broken(transaction: Any, thresholds: Thresholds) -> Iterator[Finding]:
        transaction.connection.execute(text("SELECT 1 FROM nowhere"))
        yield from ()

    subjects = (("its moods", broken), ("the work", work.examine))
    monkeypatch.setattr(examination, "SUBJECTS", subjects)
    first, second = examination.examine(own, USUAL)
    assert first.what.startswith("its moods could not be looked at")
    assert second.what == "1 tasks are due, and no worker lives"
