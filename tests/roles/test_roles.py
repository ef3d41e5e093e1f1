"""Each role can do its work on a real server, and nothing beyond it."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from celers_worker import Celers
from celers_worker.config import load_config
from celers_worker.core.errors import Forbidden
from celers_worker.core.task import TaskState
from celers_worker.store import inspect, make_direct_store
from celers_worker.store.direct import DirectStore
from celers_worker.store.grants import Role
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.postgres import partitions
from celers_worker.workflow import chain
from tests import databases
from tests.cli import rows
from tests.cli.shell import Answer, celers, done, environment, errors, run
from tests.e2e import handlers
from tests.e2e.project import QUICK, Project
from tests.roles.conftest import PASSWORD, Database
from tests.store.steps import execute
from tests.waiting import eventually_sync

#: MySQL's numbers for a table, a column, a routine or a database that a user may not use so.
_RIGHTS = {1044, 1142, 1143, 1227, 1370}


def is_refused(url: str, statement: str) -> bool:
    """Whether the server refuses *statement* for want of a right; another error is a mistake."""
    try:
        databases.execute(url, statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    except pymysql.err.Error as error:
        if error.args[0] in _RIGHTS:
            return True
        raise
    return False


def as_user(database: Database, role: Role, *arguments: str) -> Answer:
    """A command of the command line that succeeds for a user with *role*."""
    return done("--database", database.users[role], *arguments)


def states(owner: DirectStore) -> set[TaskState]:
    return {view.state for view in owner.run(inspect.list_tasks, TaskFilter(), limit=1_000)}


# --- producer ---


def an_application(database: Database) -> Any:
    """A producer's: a queue with a capacity, and one without, which PostgreSQL has a way for."""
    app: Any = Celers()
    flags = {"database.url": database.users[Role.PRODUCER]}
    app.client.config = load_config(environment={}, flags=flags).config
    app.client.add_capacity("orders", 500)

    @app.task(queue="orders")
    def ship(order: int = 0) -> int:
        return order

    @app.task()
    def note() -> None: ...

    app.note = note

    return app, ship


async def test_a_producer_enqueues_by_the_api_in_all_its_ways(database, owner):
    app, ship = an_application(database)
    try:
        plain = await ship.enqueue(order=1)
        grouped = await app.note.enqueue()
        later = await ship.with_(delay="1h", priority=3).enqueue(order=2)
        keyed = await ship.with_(unique_key="order-3").enqueue(order=3)
        again = await ship.with_(unique_key="order-3").enqueue(order=3)
        window = await ship.with_(unique_key="order-4", unique_for="1h").enqueue(order=4)
        inside = await ship.with_(unique_key="order-4", unique_for="1h").enqueue(order=4)
        many = await app.enqueue_many(ship.call(order=number) for number in range(50))
        workflow = await app.workflow(chain(ship.call(order=5), ship.call(order=6))).enqueue()
    finally:
        await app.close()
    assert again.id == keyed.id
    assert inside.id == window.id
    found = {view.id for view in owner.run(inspect.list_tasks, TaskFilter(), limit=1_000)}
    assert {plain.id, grouped.id, later.id, keyed.id, window.id, *(one.id for one in many)} <= found
    assert workflow.id not in found
    assert TaskState.BLOCKED in states(owner)


def test_a_producer_enqueues_without_an_event_loop_and_from_the_command_line(database, owner):
    app, ship = an_application(database)
    try:
        one = ship.enqueue_sync(order=1)
        keyed = ship.with_(unique_key="sync-1").enqueue_sync(order=1)
        assert ship.with_(unique_key="sync-1").enqueue_sync(order=1).id == keyed.id
    finally:
        app.client.close_sync()
    told = as_user(database, Role.PRODUCER, "enqueue", "--force", "ship", "order=7").out
    found = [str(view.id) for view in owner.run(inspect.list_tasks, TaskFilter(), limit=1_000)]
    assert str(one.id) in found
    assert any(task_id in told for task_id in found)


def test_a_producer_enqueues_by_sql(database, owner):
    call = (
        "SELECT celers_enqueue('ship', '{\"order\": 1}', unique_key => 'sql-1')"
        if database.on_postgres
        else "CALL celers_enqueue('ship', '{\"order\": 1}', '{\"unique_key\": \"sql-1\"}')"
    )
    [[first]] = databases.execute(database.users[Role.PRODUCER], call)
    [[second]] = databases.execute(database.users[Role.PRODUCER], call)
    assert first == second
    [view] = owner.run(inspect.list_tasks, TaskFilter(unique_key="sql-1"))
    assert str(view.id) == str(first)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT payload FROM celers_tasks",
        "SELECT * FROM celers_tasks",
        "SELECT payload FROM celers_task_archive",
        "SELECT error_message FROM celers_dead_letter_queue",
        "SELECT result FROM celers_task_results",
        "SELECT * FROM celers_task_attempts",
        "SELECT * FROM celers_workflow_steps",
        "SELECT * FROM celers_schedules",
        "UPDATE celers_tasks SET lease = 99",
        "UPDATE celers_tasks SET worker_id = 'mine'",
        "DELETE FROM celers_tasks",
        "INSERT INTO celers_tasks (id, lease) VALUES (NULL, 5)",
        "INSERT INTO celers_task_archive (id) VALUES (NULL)",
        "INSERT INTO celers_task_results (task_id) VALUES (NULL)",
        "INSERT INTO celers_workers (id) VALUES ('mine')",
        "INSERT INTO celers_task_history (state) VALUES ('completed')",
        "DELETE FROM celers_dead_letter_queue",
        "INSERT INTO celers_queues (name) VALUES ('orders')",
        "UPDATE celers_schedules SET task_name = 'mine'",
        "UPDATE celers_alembic_version SET version_num = '0001'",
        "DROP TABLE celers_tasks",
        "CREATE TABLE celers_mine (id integer)",
    ],
)
def test_a_producer_does_no_more(database, statement):
    assert is_refused(database.users[Role.PRODUCER], statement)


@pytest.mark.parametrize("column", ["state = 'completed'", "payload = ''", "unique_key = 'mine'"])
def test_on_postgresql_a_producer_changes_nothing(database, column):
    if not database.on_postgres:
        pytest.skip(
            "MariaDB wants that right for an INSERT that leaves out a key: docs/security.md"
        )
    assert is_refused(database.users[Role.PRODUCER], f"UPDATE celers_tasks SET {column}")


def test_a_worker_that_may_not_run_tasks_says_so_before_it_starts(database, monkeypatch, tmp_path):
    monkeypatch.setenv("CELERS_E2E_HISTORY", str(tmp_path / "history"))
    url = database.users[Role.PRODUCER]
    answer = run("worker", "-A", "tests.e2e.handlers", env=environment(CELERS_DATABASE_URL=url))
    assert answer.returncode == 2, answer.stderr
    [line] = errors(answer)
    assert "celers_tasks" in line
    assert line.endswith("celers grants --role producer|worker|viewer|operator")
    assert "Traceback" not in answer.stderr
    assert PASSWORD not in answer.stderr


def test_a_command_that_a_role_may_not_use_names_the_right_and_what_shows_the_grants(database):
    answer = celers("--database", database.users[Role.PRODUCER], "task", "list")
    assert answer.code == 2
    [line] = errors(answer)
    assert "denied" in line
    assert line.endswith("celers grants --role producer|worker|viewer|operator")


# --- worker ---


def test_a_worker_runs_everything_as_a_user_who_owns_nothing(database, owner, tmp_path):
    old = datetime.now(UTC).date() - timedelta(days=90)
    if database.on_postgres:
        owner.run(lambda transaction: transaction.connection.execute(partitions.MAKE, {"day": old}))
    url = database.users[Role.WORKER]
    with make_direct_store(database.owner) as direct, Project(url, tmp_path, direct) as project:
        ids = project.enqueue([handlers.work.call(seconds=0.0) for _ in range(20)])
        ids += project.enqueue([handlers.third_time_lucky.call()])
        execute(direct, "DELETE FROM celers_upkeep")
        worker = project.worker(settings=QUICK | {"CELERS_WORKER_JANITOR_INTERVAL": "100ms"})
        worker.ready()
        eventually_sync(lambda: set(ids) <= project.ids_of(TaskState.COMPLETED), within=45)
        if database.on_postgres:
            wanted = partitions.partition_name(datetime.now(UTC).date() + timedelta(days=3))

            def tidied() -> bool:
                names = {
                    row[0]
                    for row in direct.run(
                        lambda transaction: transaction.connection.execute(
                            partitions.PARTITIONS
                        ).all()
                    )
                }
                return wanted in names and partitions.partition_name(old) not in names

            eventually_sync(tidied, within=45)
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        complaints = [line for line in worker.log if line["level"] in ("error", "critical")]
        assert complaints == []
        assert not [line for line in worker.log if "failed" in line["event"] and "task" not in line]


def test_a_worker_has_the_tables_counted_anew(database):
    with make_direct_store(database.users[Role.WORKER]) as store:
        store.run(lambda transaction: transaction.analyze())


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO celers_queues (name) VALUES ('orders')",
        "DELETE FROM celers_queues",
        "DELETE FROM celers_history_queues",
        "INSERT INTO celers_task_history (state) VALUES ('completed')",
        "UPDATE celers_alembic_version SET version_num = '0001'",
        "DROP TABLE celers_tasks",
        "DROP TABLE celers_task_archive",
        "ALTER TABLE celers_tasks ADD COLUMN mine integer",
        "CREATE TABLE celers_mine (id integer)",
        "CREATE INDEX idx_mine ON celers_tasks (priority)",
    ],
)
def test_a_worker_does_no_more(database, statement):
    try:
        assert is_refused(database.users[Role.WORKER], statement)
    except pymysql.err.Error as error:
        raise AssertionError(error.args) from error


def test_what_keeps_the_partitions_touches_nothing_else(database, owner):
    if not database.on_postgres:
        pytest.skip("only PostgreSQL's archive has partitions")
    worker = database.users[Role.WORKER]
    execute(owner, "CREATE TABLE celers_task_archive_20200101 (id integer)")
    databases.execute(worker, "SELECT celers_maintain('drop', '2020-01-01')")
    databases.execute(worker, "SELECT celers_maintain('drop', NULL)")
    databases.execute(worker, "SELECT celers_maintain('nonsense', '2020-01-01')")
    assert execute(owner, "SELECT count(*) FROM celers_task_archive_20200101") == [(0,)]
    execute(owner, "DROP TABLE celers_task_archive_20200101")
    assert is_refused(database.users[Role.PRODUCER], "SELECT celers_maintain('drop', '2020-01-01')")


def test_no_temporary_table_stands_in_for_one_of_ours(database, owner):
    """A function that does as its owner must not be led to the tables of who calls it."""
    if not database.on_postgres:
        pytest.skip("only PostgreSQL looks for temporary tables first")
    day = datetime.now(UTC).date() + timedelta(days=30)
    with make_direct_store(database.users[Role.WORKER]) as store:

        def lead_astray(transaction: Any) -> None:
            transaction.connection.exec_driver_sql(
                "CREATE TEMPORARY TABLE celers_task_archive (completed_at timestamptz) "
                "PARTITION BY RANGE (completed_at)"
            )
            transaction.connection.execute(partitions.MAKE, {"day": day})

        store.run(lead_astray)
    name = partitions.partition_name(day)
    parents = f"SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = '{name}'"
    assert execute(owner, parents) == [("public",)]


# --- viewer ---


@pytest.fixture
def something_to_see(owner: DirectStore) -> str:
    """Tasks whose payload, result and traceback hold a word that a viewer must not see."""
    rows.waiting(owner, payload=b'{"to":"SENTINEL"}')
    [dead] = rows.dead(owner, payload=b'{"to":"SENTINEL"}')
    rows.failed_attempt(owner, dead)
    return str(dead)


@pytest.mark.parametrize(
    "arguments",
    [
        ["task", "list"],
        ["task", "list", "--format", "json"],
        ["dlq", "list"],
        ["dlq", "list", "--format", "json"],
        ["dlq", "stats"],
        ["queue", "list"],
        ["queue", "stats"],
        ["workers", "list"],
        ["stats"],
        ["stats", "--format", "json"],
        ["health", "--min-workers", "0", "--max-backlog-age", "1d"],
        ["schedule", "list"],
        ["workflow", "list"],
        ["maintain", "sizes"],
        ["maintain", "partitions"],
        ["maintain", "status"],
        ["migrate", "status"],
    ],
    ids=" ".join,
)
def test_a_viewer_sees_what_there_is_and_no_payload(database, something_to_see, arguments):
    answer = as_user(database, Role.VIEWER, *arguments)
    assert "SENTINEL" not in answer.out + answer.err


def test_a_viewer_is_told_that_a_whole_task_is_not_for_it(database, something_to_see):
    answer = celers("--database", database.users[Role.VIEWER], "task", "show", something_to_see)
    assert answer.code == 2
    assert "celers grants" in errors(answer)[0]
    assert "SENTINEL" not in answer.out + answer.err


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT payload FROM celers_tasks",
        "SELECT payload FROM celers_task_archive",
        "SELECT payload FROM celers_dead_letter_queue",
        "SELECT result FROM celers_task_results",
        "SELECT traceback FROM celers_task_attempts",
        "SELECT template FROM celers_workflow_steps",
        "INSERT INTO celers_tasks (id) VALUES (NULL)",
        "UPDATE celers_tasks SET state = 'cancelled'",
        "DELETE FROM celers_tasks",
        "UPDATE celers_queues SET paused_at = NULL",
        "DELETE FROM celers_dead_letter_queue",
        "DELETE FROM celers_task_history",
        "UPDATE celers_schedules SET paused_at = NULL",
        "DELETE FROM celers_workers",
        "UPDATE celers_upkeep SET holder = 'mine'",
        "UPDATE celers_alembic_version SET version_num = '0001'",
        "DROP TABLE celers_tasks",
    ],
)
def test_a_viewer_writes_nothing_and_reads_no_content(database, statement):
    assert is_refused(database.users[Role.VIEWER], statement)


def test_a_viewer_does_not_enqueue_by_sql_either(database):
    call = (
        "SELECT celers_enqueue('ship')"
        if database.on_postgres
        else "CALL celers_enqueue('ship', '{}', NULL)"
    )
    assert is_refused(database.users[Role.VIEWER], call)


def test_no_partition_is_a_way_around(database, something_to_see):
    if not database.on_postgres:
        pytest.skip("only PostgreSQL's archive has partitions")
    today = partitions.partition_name(datetime.now(UTC).date())
    for role in (Role.VIEWER, Role.PRODUCER):
        assert is_refused(database.users[role], f"SELECT payload FROM {today}")


# --- operator ---


def test_an_operator_does_what_the_command_line_offers(database, owner):
    [dead] = rows.dead(owner, queue="mine")
    [waits] = rows.waiting(owner, queue="mine")
    for arguments in (
        ["task", "show", str(dead)],
        ["dlq", "show", str(dead)],
        ["dlq", "requeue", str(dead)],
        ["task", "move", str(dead), "--to", "other"],
        ["task", "cancel", str(waits), "--yes"],
        ["queue", "pause", "mine"],
        ["queue", "resume", "mine"],
        ["queue", "purge", "other", "--yes"],
        ["schedule", "add", "nightly", "send", "--every", "1h", "--force"],
        ["schedule", "pause", "nightly"],
        ["schedule", "resume", "nightly"],
        ["schedule", "trigger", "nightly"],
        ["schedule", "remove", "nightly", "--yes"],
        ["maintain", "archive"],
        ["maintain", "recover"],
        ["maintain", "purge", "--yes", "--queue", "mine"],
        ["maintain", "status"],
        ["enqueue", "--force", "send", "to=ada"],
    ):
        answer = celers("--database", database.users[Role.OPERATOR], *arguments)
        assert answer.code == 0, (arguments, answer.err)


def test_an_operator_exports_and_brings_it_back(database, owner, tmp_path: Path):
    rows.dead(owner, 3, queue="exported")
    file = str(tmp_path / "export.jsonl")
    as_user(database, Role.OPERATOR, "export", "-q", "exported", "--output", file)
    as_user(database, Role.OPERATOR, "maintain", "purge", "--yes", "-q", "exported")
    as_user(database, Role.OPERATOR, "import", file)
    found = owner.run(inspect.list_tasks, TaskFilter(queue="exported"))
    assert len(found) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE celers_alembic_version SET version_num = '0001'",
        "DROP TABLE celers_tasks",
        "ALTER TABLE celers_tasks ADD COLUMN mine integer",
        "CREATE TABLE celers_mine (id integer)",
    ],
)
def test_an_operator_leaves_the_tables_as_they_are(database, statement):
    assert is_refused(database.users[Role.OPERATOR], statement)


def test_what_only_the_owner_can_do_says_so(database):
    for arguments in (["migrate", "down", "--force", "--yes"], ["queue", "history", "mine", "on"]):
        answer = celers("--database", database.users[Role.OPERATOR], *arguments)
        assert answer.code != 0, arguments
        assert len(errors(answer)) == 1, answer.err
        assert "Traceback" not in answer.err


def test_what_is_not_the_operators_to_vacuum_is_told_and_not_passed_over(database):
    url = database.users[Role.OPERATOR]
    answer = celers("--database", url, "maintain", "vacuum")
    if database.on_postgres:
        assert answer.code == 2
        assert errors(answer)[-1].endswith("Run it as the owner of the tables.")
    else:
        assert answer.code == 0, answer.err
    done("--database", database.owner, "maintain", "vacuum")


# --- the audit trail ---


def test_whoever_writes_a_task_leaves_a_trail_and_cannot_forge_one(database, owner):
    # The administrator of MariaDB's tests has the right to triggers; on PostgreSQL the owner has.
    done("--database", database.owner, "queue", "history", "orders", "on")
    app, ship = an_application(database)
    try:
        task = ship.enqueue_sync(order=1)
    finally:
        app.client.close_sync()
        trail = execute(owner, "SELECT task_id, state FROM celers_task_history")
        done("--database", database.owner, "queue", "history", "orders", "off")
    assert str(task.id) in [str(row[0]) for row in trail]
    if database.on_postgres:
        assert is_refused(
            database.users[Role.PRODUCER], "INSERT INTO celers_task_history (state) VALUES ('x')"
        )


# --- what is printed ---


def test_the_grants_name_the_user_the_schema_and_quote_both(database):
    answer = done("--database", database.owner, "grants", "--role", "viewer", "--user", "o'ne\"two")
    quoted = '"o\'ne""two"' if database.on_postgres else "'o''ne\"two'@'%'"
    assert all(line.endswith((f" TO {quoted};",)) for line in answer.lines[1:])
    place = '"public"."celers_tasks"' if database.on_postgres else ".`celers_tasks` TO"
    assert any(place in line for line in answer.lines)


def test_a_file_has_no_users(tmp_path):
    answer = celers("--database", f"sqlite:///{tmp_path}/celers.db", "grants", "--role", "worker")
    assert answer.code == 2
    assert "an SQLite database has no users" in errors(answer)[0]


def test_a_store_says_which_right_is_missing(database):
    with (
        make_direct_store(database.users[Role.VIEWER]) as store,
        pytest.raises(Forbidden, match=r"celers_tasks.*celers grants --role"),
    ):
        store.enqueue([rows.NewTask(name="send", payload=b"{}")])
