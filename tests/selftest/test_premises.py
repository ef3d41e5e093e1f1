"""Places of a selftest's own: made, held, told from others, erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.task import TaskState
from celers_worker.store import (
    StoreOptions,
    history,
    inspect,
    make_direct_store,
    make_store,
    migrate,
)
from celers_worker.store.premises import premises
from tests import databases
from tests.selftest.conftest import MakeUser, everything
from tests.store.steps import claim_all, new_tasks, settle

# One after the other: what is left of one is erased by the next on the same server.
pytestmark = pytest.mark.xdist_group("selftest")
OPTIONS = StoreOptions()
on_servers = pytest.mark.parametrize("server", ["postgres", "mysql"])


def test_one_that_is_in_use_is_left_alone_by_the_others(database_url: str) -> None:
    before = everything(database_url)
    with premises(database_url, OPTIONS) as first:
        with premises(database_url, OPTIONS) as second:
            assert first.name != second.name
            for place in (first, second):
                with make_direct_store(place.url, OPTIONS) as direct:
                    migrate.upgrade(direct)
        with make_direct_store(first.url, OPTIONS) as direct:
            direct.open()  # its tables are still there
    assert everything(database_url) == before


def test_it_is_erased_whoever_is_connected_to_it(database_url: str) -> None:
    before = everything(database_url)
    with premises(database_url, OPTIONS) as place:
        direct = make_direct_store(place.url, OPTIONS)
        connection = direct.engine.connect()
    assert everything(database_url) == before
    connection.invalidate()
    connection.close()
    direct.close()


def test_what_is_only_called_like_one_is_never_touched(database_url: str) -> None:
    name = "celers_selftest_results"
    if database_url.startswith("sqlite"):
        Path(database_url.removeprefix("sqlite:///")).with_name(f"{name}.lock").touch()
    else:
        kind = "SCHEMA" if database_url.startswith("postgres") else "DATABASE"
        databases.execute(database_url, f"CREATE {kind} {name}")
    before = everything(database_url)
    assert any(name in one for one in before)
    with premises(database_url, OPTIONS) as place:
        assert any(place.name in one for one in everything(database_url))
    assert everything(database_url) == before
    if database_url.startswith("mysql"):
        databases.drop_database(database_url, name)


@on_servers
def test_here_is_the_named_database_which_is_as_empty_afterwards(
    server_url: str, make_user: MakeUser
) -> None:
    on_mysql = server_url.startswith("mysql")
    right = (
        "GRANT ALL ON `{database}`.* TO {user}@'%'"
        if on_mysql
        else "GRANT CREATE ON SCHEMA public TO {user}"
    )
    url = make_user(right)
    databases.execute(url, "CREATE TABLE mine (id integer)")
    before = everything(url)
    with premises(url, OPTIONS, here=True) as place:
        with make_direct_store(place.url, OPTIONS) as direct:
            migrate.upgrade(direct)
            direct.run(history.switch_on, "default")
            direct.enqueue(new_tasks(2))
        with pytest.raises(ConfigurationError, match="holds tables of Celers"):
            _here(url)
    assert everything(url) == before
    databases.execute(url, "DROP TABLE mine")


@on_servers
def test_here_what_a_killed_one_has_left_is_erased_and_others_tables_never_are(
    server_url: str,
) -> None:
    before = everything(server_url)
    with make_direct_store(server_url, OPTIONS) as direct:
        databases.execute(server_url, "CREATE TABLE celers_selftest (id integer PRIMARY KEY)")
        migrate.upgrade(direct)
        direct.run(history.switch_on, "default")
        _here(server_url)
        assert everything(server_url) == before
        migrate.upgrade(direct)
        used = everything(server_url)
        with pytest.raises(ConfigurationError, match="holds tables of Celers"):
            _here(server_url)
        assert everything(server_url) == used


@pytest.mark.parametrize("server", ["postgres"])
async def test_a_url_can_ask_for_a_schema_with_every_driver(server_url: str) -> None:
    databases.execute(server_url, "CREATE SCHEMA work")
    url = f"{server_url}?options=-csearch_path%3Dwork%20-c%20work_mem%3D5MB"
    with make_direct_store(url) as direct:
        migrate.upgrade(direct)
        direct.open()
        store = make_store(url, OPTIONS)
        try:
            await store.open()
            await store.enqueue(new_tasks(2))
            tasks = await claim_all(store)
            assert [await settle(store, task) for task in tasks] == [True] * 2
        finally:
            await store.close()
        view = direct.run(inspect.task, tasks[0].id)
        assert view is not None
        assert view.state is TaskState.COMPLETED
    found = databases.execute(
        server_url,
        "SELECT DISTINCT table_schema FROM information_schema.tables"
        " WHERE table_name LIKE 'celers%'",
    )
    assert found == [("work",)]


def test_settings_that_cannot_be_read_are_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="write -cNAME=VALUE"):
        make_direct_store("postgresql://a@localhost/b?options=search_path")


def _here(url: str) -> None:
    with premises(url, OPTIONS, here=True):
        pass
