"""On PostgreSQL the tables can live in a schema of their own."""

from __future__ import annotations

from contextlib import closing

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import StoreOptions, inspect, make_direct_store, make_store, migrate
from tests import databases
from tests.store.steps import claim_all, new_tasks, settle


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_all_of_it_lives_in_a_schema_of_ones_own(database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    databases.execute(database_url, "CREATE SCHEMA work")
    databases.execute(database_url, f"ALTER DATABASE {name} SET search_path = work")
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
        direct.open()
        store = make_store(database_url, StoreOptions())
        try:
            await store.open()
            await store.enqueue(new_tasks(3))
            tasks = await claim_all(store)
            assert [await settle(store, task) for task in tasks] == [True] * 3
            view = await store.run(inspect.task, tasks[0].id)
            assert view is not None
            assert view.state is TaskState.COMPLETED
        finally:
            await store.close()
        with (
            closing(databases.connect(database_url)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute("SET search_path = pg_catalog")
            cursor.execute("SELECT work.celers_enqueue('send')")
    found = databases.execute(
        database_url,
        "SELECT DISTINCT table_schema FROM information_schema.tables"
        " WHERE table_name LIKE 'celers%'",
    )
    assert found == [("work",)]
