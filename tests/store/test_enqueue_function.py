"""``celers_enqueue`` in the database: one statement of plain SQL, from any language."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pymysql
import pytest

from celers_worker.core.errors import Refused
from celers_worker.core.payload import decode_arguments
from celers_worker.core.uniqueness import SUPERSEDED, Uniqueness
from celers_worker.store import enqueue_function, make_direct_store, migrate
from tests import databases
from tests.store.steps import (
    BROKEN,
    any_queue,
    claim_one,
    execute,
    live_row,
    live_rows,
    new_task,
    settle,
)

on_servers = pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
on_postgres = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
SECONDS = {"delay", "timeout", "expires", "unique_for", "debounce", "debounce_max"}


def arguments_of(url: str, name: str, arguments: Any, options: dict[str, Any]) -> Any:
    """The statement and its values for the driver of *url*."""
    document = None if arguments is None else json.dumps(arguments)
    if url.startswith("mysql"):
        written = json.dumps(options) if options else None
        return "CALL celers_enqueue(%s, %s, %s)", (name, document, written)
    values = {
        key: timedelta(seconds=value)
        if key in SECONDS
        else json.dumps(value)
        if key == "metadata"
        else value
        for key, value in options.items()
    }
    named = "".join(f", {key} => %({key})s" for key in values)
    if document is not None:
        named += ", arguments => %(arguments)s"
    return f"SELECT celers_enqueue(%(name)s{named})", {
        "name": name,
        "arguments": document,
        **values,
    }


@pytest.fixture
def enqueue(migrated_url: str) -> Iterator[Callable[..., UUID]]:
    """Enqueues on a plain connection of psycopg or PyMySQL, in autocommit."""
    with closing(databases.connect(migrated_url)) as connection:

        def call(name: str, arguments: Any = None, **options: Any) -> UUID:
            with closing(connection.cursor()) as cursor:
                cursor.execute(*arguments_of(migrated_url, name, arguments, options))
                return UUID(str(cursor.fetchone()[0]))

        yield call


@on_servers
async def test_one_statement_enqueues_and_a_worker_runs_it(enqueue, store):
    task_id = enqueue("shop.tasks:send-1", {"to": "ada", "text": "é 😀 'quoted' \"x\" \\ %s"})
    task = await claim_one(store)
    assert (task.id, task.name, task.queue) == (task_id, "shop.tasks:send-1", "default")
    assert (task.priority, task.max_retries, task.timeout, task.lease) == (0, 3, None, 1)
    assert decode_arguments(task.payload) == (
        [],
        {"to": "ada", "text": "é 😀 'quoted' \"x\" \\ %s"},
    )
    assert task_id.version == 7
    assert await settle(store, task)


@on_servers
def test_every_option_reaches_the_row(enqueue, direct):
    task_id = enqueue(
        "send",
        [1, "two"],
        queue="emails",
        priority=-3,
        max_retries=9,
        delay=90,
        timeout=2.5,
        expires=3_600,
        unique_key="k",
        fingerprint="f",
        metadata={"tags": ["tenant:7"]},
    )
    row = live_row(direct, task_id)
    assert (row.queue_name, row.priority, row.max_retries, row.timeout) == ("emails", -3, 9, 2.5)
    assert (row.unique_key, row.fingerprint) == ("k", "f")
    assert row.metadata == {"tags": ["tenant:7"]}
    assert row.scheduled_at - row.created_at == timedelta(seconds=90)
    assert row.expires_at - row.created_at == timedelta(hours=1)
    assert decode_arguments(row.payload) == ([1, "two"], {})


@on_servers
def test_an_instant_is_taken_as_it_is(enqueue, direct, migrated_url):
    zone = "" if migrated_url.startswith("mysql") else "+00"
    row = live_row(direct, enqueue("send", at=f"2040-01-02 03:04:05{zone}"))
    assert row.scheduled_at.isoformat() == "2040-01-02T03:04:05+00:00"


@on_servers
def test_ours_and_these_look_the_same(enqueue, direct):
    [ours] = direct.enqueue([new_task(name="send", payload=b"{}")])
    theirs = enqueue("send")
    one, other = live_row(direct, ours.id)._asdict(), live_row(direct, theirs)._asdict()
    for column in ("id", "created_at", "scheduled_at"):
        assert one.pop(column) <= other.pop(column)
    assert one == other


@on_servers
def test_a_taken_key_answers_with_the_task_that_has_it(enqueue, direct):
    [first] = direct.enqueue([new_task(unique_key="k")])
    assert enqueue("send", unique_key="k") == first.id
    second = enqueue("send", unique_key="other")
    assert second != first.id
    [again] = direct.enqueue([new_task(unique_key="other")])
    assert (again.id, again.existing) == (second, True)
    assert len(live_rows(direct)) == 2


@on_servers
async def test_a_key_in_its_window_is_respected(enqueue, store, direct):
    window = Uniqueness(window=timedelta(hours=1))
    [first] = await store.enqueue([new_task(unique_key="k", uniqueness=window)])
    await settle(store, await claim_one(store))
    assert enqueue("send", unique_key="k") == first.id
    assert live_rows(direct) == []


@on_servers
def test_fifty_calls_with_one_key_at_once_add_one_task(migrated_url, direct):  # T15
    def call(_: int) -> str:
        with (
            closing(databases.connect(migrated_url)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            statement = arguments_of(migrated_url, "send", None, {"unique_key": "k"})
            cursor.execute(*statement)
            return str(cursor.fetchone()[0])

    with ThreadPoolExecutor(12) as threads:
        answers = set(threads.map(call, range(50)))
    assert answers == {str(row.id) for row in live_rows(direct)}
    assert len(answers) == 1


@on_servers
@pytest.mark.parametrize(
    ("name", "arguments", "options", "message"),
    [
        ("", {}, {}, "cannot name a task"),
        ("a b", {}, {}, "cannot name a task"),
        ("send\n", {}, {}, "cannot name a task"),
        ("send", {}, {"queue": "a:b"}, "cannot name a queue"),
        ("send", 7, {}, "JSON object, or an array"),
        ("send", {"a": "x" * 1_048_577}, {}, "take more than 1048576 bytes"),
        ("send", {}, {"max_retries": -1}, "max_retries"),
        ("send", {}, {"delay": -1}, "negative"),
        ("send", {}, {"metadata": [1]}, "metadata must be a JSON object"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    enqueue, direct, name, arguments, options, message
):
    with pytest.raises((psycopg.Error, pymysql.Error), match=message):
        enqueue(name, arguments, **options)
    assert live_rows(direct) == []


@pytest.mark.parametrize("migrated_url", ["mysql"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ("{not json", None, "JSON"),
        ("{}", "{not json", "JSON"),
        ("{}", "[]", "options must be a JSON object"),
        ("{}", '{"dealy": 5}', "an option is unknown"),
        ("{}", '{"priority": "high"}', "whole numbers"),
    ],
)
def test_bad_documents_are_refused_by_the_procedure(
    migrated_url, direct, arguments, options, message
):
    with (
        closing(databases.connect(migrated_url)) as connection,
        closing(connection.cursor()) as cursor,
        pytest.raises(pymysql.Error, match=message),
    ):
        cursor.execute("CALL celers_enqueue('send', %s, %s)", (arguments, options))
    assert live_rows(direct) == []


# --- how a unique key is held: as store.unique has it ---


@on_servers
def test_tags_go_beside_the_other_metadata(enqueue, direct):
    first = enqueue("send", tags=["tenant:7", 'é "x"'])
    second = enqueue("send", tags=["a"], metadata={"tags": ["b"], "more": {"x": 1}})
    assert live_row(direct, first).metadata == {"tags": ["tenant:7", 'é "x"']}
    assert live_row(direct, second).metadata == {"tags": ["a"], "more": {"x": 1}}


@on_servers
async def test_a_window_outlives_its_task_for_every_producer(enqueue, store, direct):
    first = enqueue("send", unique_key="k", unique_for=3_600)
    task = await claim_one(store)
    assert task.id == first
    assert enqueue("send", unique_key="k", unique_for=3_600) == first  # while it runs
    await settle(store, task)
    assert enqueue("send", unique_key="k", unique_for=3_600) == first
    assert enqueue("send", unique_key="k") == first
    window = Uniqueness(window=timedelta(hours=1))
    for uniqueness in (window, None):
        [ours] = await store.enqueue([new_task(unique_key="k", uniqueness=uniqueness)])
        assert (ours.id, ours.existing) == (first, True)
    assert live_rows(direct) == []


@on_servers
async def test_a_window_that_has_ended_is_free(enqueue, store, direct):
    first = enqueue("send", unique_key="k", unique_for=3_600)
    await settle(store, await claim_one(store))
    execute(direct, "UPDATE celers_unique_windows SET expires_at = '2020-01-01 00:00:00'")
    second = enqueue("send", unique_key="k", unique_for=3_600)
    assert second != first
    assert enqueue("send", unique_key="k", unique_for=3_600) == second
    assert [row.id for row in live_rows(direct)] == [second]


@on_servers
async def test_a_waiting_task_is_replaced_and_starts_anew(enqueue, store, direct):
    [first] = await store.enqueue([new_task(name="old", unique_key="k", queue="old")])
    await settle(store, await claim_one(store), BROKEN)
    before = live_row(direct, first.id)
    assert before.retry_count == 1
    answer = enqueue(
        "new",
        {"to": "eve"},
        unique_key="k",
        on_conflict="replace",
        queue="new",
        priority=4,
        max_retries=1,
        delay=60,
        fingerprint="f",
        tags=["t"],
    )
    assert answer == first.id
    row = live_row(direct, first.id)
    assert (row.task_name, row.queue_name, row.priority, row.max_retries) == ("new", "new", 4, 1)
    assert (row.retry_count, row.error_message, row.fingerprint) == (0, None, "f")
    assert decode_arguments(row.payload) == ([], {"to": "eve"})
    assert row.metadata == {"tags": ["t"]}
    assert row.lease > before.lease
    assert row.scheduled_at - row.created_at > timedelta(seconds=30)


@on_servers
@pytest.mark.parametrize("how", [{"on_conflict": "replace"}, {"debounce": 0.001}])
async def test_a_running_task_gives_its_key_to_the_newer_one(enqueue, store, direct, how):
    first = enqueue("send", unique_key="k")
    running = await claim_one(store)
    second = enqueue("send", unique_key="k", **how)
    assert second != first
    assert live_row(direct, first).unique_key is None
    assert live_row(direct, first).cancel_reason == SUPERSEDED
    assert live_row(direct, second).unique_key == "k"
    assert await settle(store, running, BROKEN)  # out of date: it is not tried again
    assert [row.id for row in live_rows(direct)] == [second]


@on_servers
def test_each_call_puts_a_debounced_task_off_but_not_for_ever(enqueue, direct):
    first = enqueue("send", {"n": 1}, unique_key="k", debounce=60, debounce_max=3_600)
    row = live_row(direct, first)
    assert row.scheduled_at - row.created_at == timedelta(minutes=1)
    execute(direct, "UPDATE celers_tasks SET scheduled_at = created_at")
    assert enqueue("send", {"n": 2}, unique_key="k", debounce=60, debounce_max=3_600) == first
    row = live_row(direct, first)
    assert row.scheduled_at - row.created_at >= timedelta(minutes=1)
    assert decode_arguments(row.payload) == ([], {"n": 2})
    execute(direct, "UPDATE celers_tasks SET created_at = '2020-01-01 00:00:00'")
    assert enqueue("send", {"n": 3}, unique_key="k", debounce=60, debounce_max=3_600) == first
    in_future = "SELECT count(*) FROM celers_tasks WHERE scheduled_at > {}"
    now = "UTC_TIMESTAMP(6)" if direct.engine.dialect.name == "mysql" else "now()"
    assert execute(direct, in_future.format(now)) == [(0,)]
    assert enqueue("send", {"n": 4}, unique_key="k", debounce=60) == first
    assert execute(direct, in_future.format(now)) == [(1,)]


@on_servers
async def test_a_conflict_is_refused_where_that_is_wished(enqueue, store, direct):
    first = enqueue("send", unique_key="k", unique_for=3_600)
    for options in ({}, {"unique_for": 60}):
        with pytest.raises((psycopg.errors.UniqueViolation, pymysql.IntegrityError)) as refused:
            enqueue("send", unique_key="k", on_conflict="raise", **options)
        assert str(first) in str(refused.value)
    await settle(store, await claim_one(store))
    with pytest.raises((psycopg.errors.UniqueViolation, pymysql.IntegrityError)):
        enqueue("send", unique_key="k", on_conflict="raise")
    assert live_rows(direct) == []
    assert enqueue("send", unique_key="other", on_conflict="raise") != first


@on_servers
@pytest.mark.parametrize(
    "options", [{"unique_for": 60}, {"on_conflict": "replace"}, {"debounce": 60}], ids=str
)
def test_many_calls_with_one_key_at_once_make_one_task(migrated_url, direct, options):
    def call(_: int) -> str:
        with (
            closing(databases.connect(migrated_url)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(*arguments_of(migrated_url, "send", None, {"unique_key": "k"} | options))
            return str(cursor.fetchone()[0])

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(call, range(30)))
    assert answers == {str(row.id) for row in live_rows(direct)}
    assert len(answers) == 1


@on_servers
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unique_for": 60}, "need a unique_key"),
        ({"debounce": 5}, "need a unique_key"),
        ({"on_conflict": "raise"}, "need a unique_key"),
        ({"unique_key": "k", "on_conflict": "maybe"}, "return, replace or raise"),
        ({"unique_key": "k", "debounce": 5, "delay": 5}, "debounce does not go with"),
        ({"unique_key": "k", "debounce": 5, "on_conflict": "raise"}, "debounce does not go with"),
        ({"unique_key": "k", "debounce_max": 5}, "debounce does not go with"),
        ({"unique_key": "k", "debounce": 5, "debounce_max": 4}, "too short"),
        ({"unique_key": "k", "unique_for": 0}, "too short"),
    ],
    ids=str,
)
def test_what_contradicts_itself_is_refused(enqueue, direct, options, message):
    with pytest.raises((psycopg.Error, pymysql.Error), match=message):
        enqueue("send", **options)
    assert live_rows(direct) == []


@pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)
def test_the_older_function_gives_way(database_url):
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
        older = "CREATE {} celers_enqueue({}"
        if database_url.startswith("mysql"):
            statements = ["DROP PROCEDURE celers_enqueue", older.format("PROCEDURE", ") SELECT 1")]
        else:
            body = "name text) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'"
            statements = ["DROP FUNCTION celers_enqueue", older.format("FUNCTION", body)]
        for statement in statements:
            databases.execute(database_url, statement)
        migrate.make_function(direct)
        values = {"unique_key": "k", "unique_for": 60}
        with (
            closing(databases.connect(database_url)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(*arguments_of(database_url, "send", None, values))
            assert str(cursor.fetchone()[0]) == str(live_rows(direct)[0].id)


# --- in transactions ---


@on_servers
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_it_is_part_of_the_callers_transaction(migrated_url, direct, commits):
    with closing(databases.connect(migrated_url)) as connection:
        with closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.execute(*arguments_of(migrated_url, "send", {"a": 1}, {}))
            cursor.fetchall()
            cursor.execute("COMMIT" if commits else "ROLLBACK")
        assert len(live_rows(direct)) == commits


@on_postgres
async def test_a_worker_that_listens_is_told_at_the_commit(enqueue, migrated_url):
    listener = await asyncpg.connect(migrated_url)
    heard: list[str] = []
    await listener.add_listener("celers_tasks", lambda *details: heard.append(details[-1]))
    try:
        enqueue("send", queue="emails")
        enqueue("send", queue="later", delay=60)
        await listener.execute("SELECT 1")
        assert heard == ["emails"]
    finally:
        await listener.close()


@on_postgres
def test_it_finds_its_tables_whatever_the_callers_search_path(migrated_url, direct):
    with psycopg.connect(migrated_url) as connection:
        connection.execute("SET search_path = pg_catalog")
        connection.execute("SELECT public.celers_enqueue('send')")
    assert len(live_rows(direct)) == 1


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_on_sqlite_a_plain_insert_enqueues(migrated_url, store):
    with closing(sqlite3.connect(migrated_url.removeprefix("sqlite:///"))) as connection:
        connection.execute(
            "INSERT INTO celers_tasks (id, task_name, payload, queue_name)"
            " VALUES (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' ||"
            " substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' ||"
            " hex(randomblob(6))), 'send', CAST('{\"to\": \"ada\"}' AS BLOB), 'emails')"
        )
        connection.commit()
    [task] = await store.claim("w", any_queue(10))
    assert (task.name, task.queue) == ("send", "emails")
    assert decode_arguments(task.payload) == ([], {"to": "ada"})
    assert await settle(store, task)


# --- without the right to make it ---


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_a_migration_without_the_right_goes_on_and_says_how_to_get_it(database_url, monkeypatch):
    of_others = enqueue_function.MYSQL.replace("PROCEDURE ", "PROCEDURE mysql.", 1)
    with make_direct_store(database_url) as direct:
        notes: list[str] = []
        with monkeypatch.context() as patch:
            patch.setitem(enqueue_function.CREATE, "mysql", [of_others])
            migrate.upgrade(direct, notes=notes)
            with pytest.raises(Refused, match="celers migrate function"):
                migrate.make_function(direct)
        [note] = notes
        assert "GRANT CREATE ROUTINE, ALTER ROUTINE" in note
        assert "celers migrate function" in note
        direct.open()
        with direct.engine.connect() as connection:
            assert not enqueue_function.exists(connection)
        migrate.make_function(direct)
        with direct.engine.connect() as connection:
            assert enqueue_function.exists(connection)
