"""Whether a claim walks its index, as it was designed to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from celers_worker.store import statements
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, error
from celers_worker.store.schema import tasks
from celers_worker.store.transaction import Transaction

#: The index of the claim, by its form on each database.
CLAIM_INDEX = {"postgresql": "idx_tasks_dequeue"}
OTHER_CLAIM_INDEX = "idx_tasks_state_queue"
_VALUES = {
    "queue": "default",
    "at_priority": 0,
    "mark": datetime(2001, 1, 1, tzinfo=UTC),
    "excluded": ["none"],
    "room": 10,
}
_WHY = (
    "Each claim reads and sorts all that waits, instead of the few tasks that it takes: it gets "
    "slower with the backlog."
)


def examine(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    """Have a claim planned with the planner's settings of a worker."""
    connection = transaction.connection
    name = connection.dialect.name
    index = CLAIM_INDEX.get(name, OTHER_CLAIM_INDEX)
    if not _exists(connection, index):
        yield error(
            f"the index {index} of celers_tasks is missing",
            _WHY,
            "celers migrate sql  (it shows how the index is made)",
        )
        return
    if name == "postgresql":
        for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            connection.execute(text(f"SET LOCAL {setting} = off"))
    try:
        rows = _explain(transaction)
    except DBAPIError as problem:
        yield error(
            f"a claim cannot use the index {index}: {problem.orig}", _WHY, _mend(name, index)
        )
        return
    if not any(index in str(row) for row in rows):
        yield error(f"a claim does not walk the index {index}", _WHY, _mend(name, index))


def _exists(connection: Connection, index: str) -> bool:
    if connection.dialect.name in ("mysql", "mariadb"):
        # SQLAlchemy does not read an index that is ignored.
        shown = text(f"SHOW INDEX FROM {tasks.name} WHERE Key_name = :index")
        return connection.execute(shown, {"index": index}).first() is not None
    return index in {one["name"] for one in inspect(connection).get_indexes(tasks.name)}


def _explain(transaction: Transaction) -> list[str]:
    connection = transaction.connection
    word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    claim = statements.DUE.params(_VALUES).compile(
        dialect=connection.dialect,
        compile_kwargs={"literal_binds": True, "render_postcompile": True},
    )
    return [str(row) for row in connection.exec_driver_sql(f"{word} {claim}")]


def _mend(name: str, index: str) -> str:
    if name == "postgresql":
        return f"REINDEX INDEX CONCURRENTLY {index}; ANALYZE celers_tasks"
    if name == "sqlite":
        return f"REINDEX {index}; ANALYZE"
    return f"ALTER TABLE celers_tasks ALTER INDEX {index} NOT IGNORED  (MySQL: VISIBLE)"
