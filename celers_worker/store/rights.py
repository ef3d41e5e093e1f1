"""Whether the user of the database may do what a role does, before there is work to do it to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, delete, false, func, insert, select, update

from celers_worker.store.grants import Role, rights
from celers_worker.store.schema import (
    archive,
    attempts,
    dead_letters,
    queues,
    results,
    tasks,
    workers,
)
from celers_worker.store.transaction import Transaction

#: What every run of a task touches; of the others it is told when they are needed.
_EVERY_RUN = (tasks, archive, dead_letters, attempts, results, workers, queues)


def check(transaction: Transaction, role: Role) -> None:
    """Raise what the server says, translated, if *role* may not touch what its work touches.

    A file has no rights but its own, and there the first write tells.
    """
    dialect = transaction.connection.dialect.name
    if dialect == "sqlite":
        return
    allowed = rights(role)
    wanted = [(table, each) for table in _EVERY_RUN for each in allowed.get(table.name, ())]
    if dialect == "postgresql":
        wanted = _denied(transaction, wanted)
    for table, privilege in wanted:
        transaction.connection.execute(_to_no_row(table, privilege))


def _denied(transaction: Transaction, wanted: list[tuple[Table, str]]) -> list[tuple[Table, str]]:
    """Those that the server denies when asked for, which takes no lock and one round trip."""
    asked = select(*(func.has_table_privilege(table.name, each) for table, each in wanted))
    answers = transaction.connection.execute(asked).one()
    return [each for each, granted in zip(wanted, answers, strict=True) if not granted]


def _to_no_row(table: Table, privilege: str) -> Any:
    """Do it to no row at all: who may do it in part, or not, learns it from the server."""
    columns = list(table.columns)
    match privilege:
        case "SELECT":
            return select(columns[0]).where(false())
        case "INSERT":
            nothing = select(*columns).where(false())
            return insert(table).from_select(columns, nothing, include_defaults=False)
        case "UPDATE":
            return update(table).values({columns[0].name: columns[0]}).where(false())
        case _:
            return delete(table).where(false())
