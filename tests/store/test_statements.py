"""The SQL itself: as written down for people, and planned as it was designed."""

import re
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import new_id
from celers_worker.store import statements, sweeps
from celers_worker.store.postgres.hot import CLAIM, CLAIM_LIMITED, COMPLETE, SWEEP, SWEEP_ALL
from celers_worker.store.postgres.store import _WALK_THE_INDEX
from tests.store import write_sql
from tests.store.steps import any_queue, execute, new_tasks

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("backend", write_sql.DIALECTS)
def test_the_sql_files_are_those_of_this_code(backend):
    written = (write_sql.DIRECTORY / f"{backend}.sql").read_text()
    assert written == write_sql.render(backend), "run: make sql"


@pytest.mark.parametrize("backend", write_sql.DIALECTS)
def test_no_statement_ignores_errors_or_reads_columns_it_does_not_name(backend):
    sql = write_sql.render(backend)
    assert "INSERT IGNORE" not in sql
    assert "SELECT *" not in sql.replace("EXISTS (SELECT *", "")
    assert "= 'pending'" in sql  # as a literal: bound, a generic plan could not use the index


# --- plans ---


@pytest.fixture
async def filled(store, direct):
    """Few tasks that are due, among many that are not, or are of other levels."""
    await store.enqueue(new_tasks(2_000, delay=timedelta(days=1)))
    await store.enqueue(new_tasks(300, priority=5))
    await store.enqueue(new_tasks(300, queue="other"))
    await store.enqueue(new_tasks(50))
    execute(direct, "ANALYZE TABLE celers_tasks" if is_mysql(direct) else "ANALYZE")
    return direct


def is_mysql(direct):
    return direct.url.get_backend_name() == "mysql"


def explain(direct, statement, **values):
    """EXPLAIN of a portable statement, as one text."""
    sql = statement.params(values).compile(
        direct.engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    prefix = "EXPLAIN" if is_mysql(direct) else "EXPLAIN QUERY PLAN"

    def run(transaction):
        rows = transaction.connection.exec_driver_sql(f"{prefix} {sql}")
        return "\n".join(str({**row._mapping}) for row in rows)

    return direct.run(run)


DUE = {"queue": "default", "at_priority": 0, "mark": LONG_AGO, "excluded": ["x"], "room": 10}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_sqlite_claims_a_range_of_the_index_in_its_order(filled):
    plan = explain(filled, statements.DUE, **DUE)
    level = "state=? AND queue_name=? AND priority=? AND scheduled_at>? AND scheduled_at<?"
    assert f"SEARCH celers_tasks USING INDEX idx_tasks_state_queue ({level})" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("migrated_url", ["mysql"], indirect=True)
async def test_mysql_claims_a_range_of_the_index_in_its_order(filled):
    plan = explain(filled, statements.DUE, **DUE)
    assert "'type': 'range'" in plan
    assert "'key': 'idx_tasks_state_queue'" in plan
    assert "filesort" not in plan
    assert "temporary" not in plan


@pytest.mark.parametrize("migrated_url", ["sqlite", "mysql"], indirect=True)
async def test_a_sweep_probes_the_index_and_never_walks_the_table(filled):
    plan = explain(filled, sweeps.sweep(None))
    of_tasks = [line for line in plan.splitlines() if re.search(r"\b(t|every)\b", line)]
    assert len(of_tasks) == 5
    assert all("idx_tasks_state_queue" in line for line in of_tasks), plan


class Explainer:
    """Stands in for asyncpg's connection, and explains what it would run."""

    def __init__(self, connection):
        self._connection = connection

    async def fetch(self, sql, *values):
        return await self._connection.fetch(f"EXPLAIN {sql}", *values)


@pytest.fixture
async def explained(migrated_url):
    """Explains with the settings of the connection that claims."""
    connection = await asyncpg.connect(migrated_url)
    for name, value in _WALK_THE_INDEX.items():
        await connection.execute(f"SET {name} = {value}")

    async def run(compiled, **values):
        rows = await compiled.fetch(Explainer(connection), **values)
        return "\n".join(row[0] for row in rows)

    yield run
    await connection.close()


LEVELS = {
    "queues": ["default", "other"],
    "priorities": [0, 0],
    "marks": [LONG_AGO, LONG_AGO],
    "rooms": [10, 10],
    "excluded": ["x"],
    "total": 10,
    "worker": "w",
}
POSTGRES = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)


@POSTGRES
@pytest.mark.parametrize(
    ("claim", "limits"),
    [(CLAIM, {}), (CLAIM_LIMITED, {"limited": ["send"], "limits": [3]})],
    ids=["plain", "limited"],
)
async def test_postgresql_claims_a_range_of_the_index_in_its_order(
    filled, explained, claim, limits
):
    plan = await explained(claim, **LEVELS, **limits)
    assert "Index Scan using idx_tasks_dequeue on celers_tasks" in plan
    condition = re.search(r"Index Cond: (.*queue_name.*)", plan)[1]
    for part in (r"queue_name\)?(::text)? =", "priority =", "scheduled_at >=", "scheduled_at <="):
        assert re.search(part, condition)
    assert "Seq Scan on celers_tasks" not in plan
    assert "Bitmap" not in plan
    # The limits by name are ranked, which is a sort of the few that were chosen.
    assert plan.count("Sort") <= len(limits)


@POSTGRES
async def test_postgresql_sweeps_by_probes_of_the_index(filled, explained):
    for sweep, values in ((SWEEP, {"queues": ["", "default"]}), (SWEEP_ALL, {})):
        plan = await explained(sweep, **values)
        scans = re.findall(r"Scan.* on celers_tasks\b.*", plan)
        assert len(scans) >= 2, plan
        assert all("idx_tasks_dequeue" in scan for scan in scans), plan


@POSTGRES
async def test_postgresql_completes_by_primary_key(filled, explained):
    # For a thousand of 2,650 a planner that is free to choose reads the whole table.
    plan = await explained(COMPLETE, ids=[new_id() for _ in range(1_000)], leases=[1] * 1_000)
    assert "celers_tasks_pkey" in plan
    assert "Seq Scan on celers_tasks" not in plan


@POSTGRES
async def test_every_statement_of_the_hot_path_has_one_plan(store):
    await store.enqueue(new_tasks(1))
    [task] = await store.claim("w", any_queue(1))
    await store.settle("w", [Settlement(task, Completed())])
    for held in (store._claims, store._settles, store._enqueues):
        for name, value in _WALK_THE_INDEX.items():
            assert await held._raw.fetchval(f"SHOW {name}") == value


@pytest.mark.parametrize("migrated_url", ["sqlite", "mysql"], indirect=True)
async def test_a_settle_finds_its_tasks_by_primary_key(store, filled):
    [some] = await store.claim("w", any_queue(1))
    plan = explain(filled, statements.HELD, ids=[some.id])
    assert "PRIMARY" in plan or "sqlite_autoindex_celers_tasks_1" in plan
