"""Migrations can be run twice, at once, and after they were killed; they make our schema."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event, text

from celers_worker.core.errors import CelersError, SchemaError
from celers_worker.store import make_direct_store, make_store, migrate
from celers_worker.store.schema import HEAD, VERSION_TABLE, metadata
from tests import databases
from tests.store.reflection import schema_of
from tests.store.steps import any_queue, execute, live_rows, new_task

UPGRADE = """
import sys
from celers_worker.store import make_direct_store, migrate
print("ready", flush=True)
sys.stdin.readline()
with make_direct_store(sys.argv[1]) as direct:
    print(migrate.upgrade(direct))
"""
VERSIONS = Path(__file__).parents[2] / "alembic" / "versions"
#: Every revision, the oldest first.
REVISIONS = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))


@pytest.fixture
def empty(database_url):
    """The synchronous store on a database without tables."""
    with make_direct_store(database_url) as direct:
        yield direct


@pytest.fixture
def expected(empty):
    """The schema that one undisturbed migration makes; the database is empty again."""
    migrate.upgrade(empty)
    schema = schema_of(empty)
    downgrade_all(empty)
    return schema


def downgrade_all(direct, **options):
    """Undo every migration; their revisions."""
    undone = []
    while (revision := migrate.downgrade(direct, **options)) is not None:
        undone.append(revision)
    return undone


def set_revision(direct, revision):
    execute(direct, f"UPDATE {VERSION_TABLE} SET version_num = :revision", revision=revision)


# --- up and down ---


def test_an_upgrade_makes_the_tables_and_says_what_it_did(empty):
    assert migrate.upgrade(empty) == REVISIONS
    empty.open()
    empty.enqueue([new_task()])
    assert len(live_rows(empty)) == 1


def test_a_second_upgrade_does_nothing(empty):  # T3
    migrate.upgrade(empty)
    empty.enqueue([new_task()])
    before = schema_of(empty)
    assert migrate.upgrade(empty) == []
    assert schema_of(empty) == before
    assert len(live_rows(empty)) == 1


def test_four_upgrades_at_once_make_the_tables_once(database_url, empty, expected):  # T3
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=50) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, answers
    applied = sorted(out.strip() for out, _ in answers)
    assert applied == sorted([str(REVISIONS), "[]", "[]", "[]"])
    assert schema_of(empty) == expected


def test_up_after_down_makes_the_same_tables(empty, expected):
    for _ in range(2):
        migrate.upgrade(empty)
        assert schema_of(empty) == expected
        assert downgrade_all(empty) == REVISIONS[::-1]
        assert schema_of(empty) == {}


def test_down_without_tables_does_nothing(empty):
    assert migrate.downgrade(empty) is None
    migrate.upgrade(empty)
    downgrade_all(empty)
    assert migrate.downgrade(empty) is None


def test_down_refuses_while_there_are_live_tasks(empty):
    migrate.upgrade(empty)
    empty.enqueue([new_task(), new_task()])
    with pytest.raises(
        CelersError, match=r"2 live tasks would be lost.*celers migrate down --force"
    ):
        migrate.downgrade(empty)
    assert len(live_rows(empty)) == 2
    assert downgrade_all(empty, force=True) == REVISIONS[::-1]
    assert schema_of(empty) == {}


def test_revisions_tell_what_has_been_applied(empty):
    assert {revision.applied for revision in migrate.revisions(empty)} == {False}
    migrate.upgrade(empty)
    revisions = migrate.revisions(empty)
    assert {revision.applied for revision in revisions} == {True}
    assert revisions[-1].id == HEAD
    assert all(re.fullmatch(r"[A-Z].+[^.]", revision.description) for revision in revisions)


# --- killed in the middle ---


class Killed(Exception):
    """Stands for the end of the process."""


def upgrade_killed_after(url, steps, revision):
    """Upgrade to *revision*, and die after so many changes of the schema; True: it came so far."""
    with make_direct_store(url) as direct:
        left = steps

        @event.listens_for(direct.engine, "after_cursor_execute")
        def count(connection, cursor, statement, *rest):
            nonlocal left
            left -= bool(re.match(r"\s*(CREATE|ALTER|INSERT)\b", statement))
            if left == 0:
                left = -1_000
                if not url.startswith("sqlite"):  # a file has no other side that could notice
                    connection.connection.driver_connection.close()
                raise Killed

        try:
            migrate.upgrade(direct, to=revision)
        except Exception:
            return True
        return False


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_upgrade_killed_after_any_step_is_finished_by_the_next(database_url, empty, revision):
    migrate.upgrade(empty, to=revision)
    whole = schema_of(empty)
    migrate.downgrade(empty)
    steps = 0
    while upgrade_killed_after(database_url, steps := steps + 1, revision):
        # Nothing is left to do if it was the last step.
        assert migrate.upgrade(empty, to=revision) in ([revision], [])
        assert schema_of(empty) == whole
        migrate.downgrade(empty)
    assert revision != REVISIONS[0] or steps > 5, "nothing was killed"
    if revision == HEAD:
        empty.open()


# --- by hand ---


def run_script(url, script):
    """Run SQL as a person would paste it into the database's own client."""
    with make_direct_store(url) as direct, direct.engine.connect() as connection:
        raw = connection.connection.driver_connection
        if url.startswith("sqlite"):
            raw.executescript(script)
            return
        with raw.cursor() as cursor:
            for statement in [script] if url.startswith("postgresql") else statements_of(script):
                cursor.execute(statement)
        raw.commit()


def statements_of(script):
    """The statements of a script, as MySQL's client divides it: by the delimiter it names."""
    delimiter, statement = ";", ""
    for line in script.splitlines(keepends=True):
        if line.startswith("DELIMITER "):
            delimiter = line.split()[1]
            continue
        statement += line
        if line.rstrip().endswith(delimiter):
            yield statement.rstrip().removesuffix(delimiter)
            statement = ""


def test_the_sql_of_the_migrations_can_be_run_by_hand(database_url, empty, expected):
    downgrade_all(empty)
    execute(empty, f"DROP TABLE {VERSION_TABLE}")
    run_script(database_url, migrate.sql(empty.url.get_backend_name()))
    assert schema_of(empty) == expected
    empty.open()
    assert migrate.upgrade(empty) == []


def test_the_sql_since_the_newest_revision_is_nothing():
    for backend in ("sqlite", "postgresql", "mysql"):
        assert "CREATE TABLE" not in migrate.sql(backend, since=HEAD)


# --- no drift ---


def test_the_migrations_make_the_tables_that_the_code_describes(empty, expected):
    with empty.engine.begin() as connection:
        metadata.create_all(connection)
    described = schema_of(empty)
    assert described.keys() == expected.keys()
    for table in described:
        assert described[table] == expected[table]


def test_the_newest_migration_is_the_one_the_code_asks_for():
    names = sorted(path.name for path in VERSIONS.glob("[0-9]*.py"))
    assert names[-1].startswith(f"{HEAD}_")
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_there_is_one_line_of_migrations():
    text_of = {path: path.read_text() for path in VERSIONS.glob("[0-9]*.py")}
    downs = [re.search(r"^down_revision = (.+)$", script, re.M)[1] for script in text_of.values()]
    assert len(set(downs)) == len(downs)
    assert downs.count("None") == 1


# --- a schema that is not this version's ---


@pytest.fixture(params=["async", "sync"])
def open_store(request, database_url):
    """Opens a store on the database and closes it again."""

    async def run():
        if request.param == "sync":
            with make_direct_store(database_url) as direct:
                direct.open()
            return
        store = make_store(database_url)
        try:
            await store.open()
            assert await store.claim("w", any_queue(1)) == []
        finally:
            await store.close()

    return run


@pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)
async def test_a_database_without_tables_says_to_migrate(open_store):
    with pytest.raises(SchemaError, match=r"has no Celers tables\. Run: celers migrate"):
        await open_store()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_new_file_is_migrated_when_it_is_opened(open_store, empty):
    await open_store()
    assert {revision.applied for revision in migrate.revisions(empty)} == {True}


@pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)
async def test_older_tables_say_to_migrate(open_store, empty):
    migrate.upgrade(empty)
    set_revision(empty, "0000")
    with pytest.raises(
        SchemaError, match=rf"revision 0000, {HEAD} is needed\. Run: celers migrate"
    ):
        await open_store()


async def test_newer_tables_say_to_upgrade_the_package(open_store, empty):
    migrate.upgrade(empty)
    set_revision(empty, "9999")
    with pytest.raises(SchemaError, match=r"9999, newer .* pip install --upgrade celers-worker"):
        await open_store()
    with pytest.raises(SchemaError, match=r"9999, newer .* pip install --upgrade celers-worker"):
        migrate.upgrade(empty)


async def test_tables_of_this_version_open(open_store, empty):
    migrate.upgrade(empty)
    await open_store()
    assert schema_of(empty)


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_names_and_keys_are_utf8_whatever_the_servers_default(database_url, empty):
    migrate.upgrade(empty)
    default = databases.execute(database_url, "SELECT @@character_set_database")
    assert default != [("utf8mb4",)]  # else this test shows nothing
    rows = databases.execute(
        database_url,
        "SELECT collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND collation_name IS NOT NULL AND table_name <> 'celers_alembic_version'"
        " AND column_name NOT LIKE '%id' AND column_name <> 'ended_by'",  # an id too
    )
    assert {collation for (collation,) in rows} == {"utf8mb4_bin"}


def test_the_version_table_names_the_newest_migration(empty):
    migrate.upgrade(empty)
    with empty.engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == HEAD
