"""What people look at must not read a table of any size to show a page of it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import (
    StoreOptions,
    figures,
    health,
    inspect,
    make_direct_store,
    make_store,
    migrate,
)
from celers_worker.store.inspect import TaskFilter
from tests import crowd
from tests.store.steps import execute, new_tasks
from tests.store.watching import Watch, watch_of

AROUND = 100_000
PAGE = 50
#: Rows or index entries for one page of three tables; on SQLite turns of loops, 200 for a row.
FEW = 300 * PAGE
SAMPLE = 500


@pytest.fixture
async def watch(database_url: str) -> AsyncIterator[Watch]:
    """A watch on a store whose database holds many tasks, which its server has looked at."""
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
        crowd.schedule_for_tomorrow(database_url, AROUND)
        crowd.fill_archive(database_url, AROUND)
        tables = "TABLE celers_tasks, celers_task_archive" if "mysql" in database_url else ""
        execute(direct, f"ANALYZE {tables}")
    store = make_store(database_url, StoreOptions(pool_size=1 if "mysql" in database_url else 5))
    with watch_of(store) as watch:
        await store.open()
        yield watch
        await store.close()


async def test_a_page_and_a_probe_cost_the_same_whatever_waits_and_has_ended(watch: Watch) -> None:
    store = watch.store
    [due, *_] = await store.enqueue(new_tasks(3))
    looks = {
        "the newest": lambda: store.run(inspect.list_tasks, TaskFilter(), limit=PAGE),
        "what follows": lambda: store.run(
            inspect.list_tasks, TaskFilter(), limit=PAGE, before=due.id
        ),
        "one state": lambda: store.run(
            inspect.list_tasks, TaskFilter(states=[TaskState.COMPLETED]), limit=PAGE
        ),
        "chosen ones": lambda: store.run(inspect.list_tasks, TaskFilter(ids=[due.id])),
        "one task": lambda: store.run(inspect.task, due.id),
        "the vitals": lambda: store.run(health.vitals, max_dead=100),
    }
    for name, look in looks.items():
        async with watch.touched() as touched:
            await look()
        assert touched.rows <= FEW, name


async def test_figures_read_the_newest_of_the_archive_and_no_more(watch: Watch) -> None:
    async with watch.touched() as touched:
        found = await watch.store.run(figures.report, timedelta(days=1), sample=SAMPLE)
    assert found.groups[0].ended == SAMPLE
    # PostgreSQL reads a stretch of pages at the end of the newest partition.
    assert touched.faults == [] or watch.store.url.get_backend_name() == "sqlite"
    assert touched.rows < AROUND * 0.8
