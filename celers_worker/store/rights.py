"""Whether the user of the database may do what a role does, before there is work to do it to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, false, insert, select, update

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
    """Try what *role* does, to no row at all. Raises what the server says, which is translated.

    A file has no rights but its own, and there the first write tells.
    """
    if transaction.connection.dialect.name == "sqlite":
        return
    allowed = rights(role)
    for table in _EVERY_RUN:
        for privilege in allowed.get(table.name, ()):
            transaction.connection.execute(_to_no_row(table, privilege))


def _to_no_row(table: Any, privilege: str) -> Any:
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
