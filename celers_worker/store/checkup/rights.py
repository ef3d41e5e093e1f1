"""What the user of the database may not do, and a worker must."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, error, warning
from celers_worker.store.schema import metadata
from celers_worker.store.transaction import Transaction

_NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE")


def examine(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    """Look at the rights on each table, and on what the upkeep makes and drops."""
    match transaction.connection.dialect.name:
        case "postgresql":
            yield from _postgresql(transaction)
        case "mysql" | "mariadb":
            yield from _mysql(transaction)


def _postgresql(transaction: Transaction) -> Iterator[Finding]:
    ask = text("SELECT has_table_privilege(:name, :right)")
    user = transaction.connection.execute(text("SELECT current_user")).scalar_one()
    for table in metadata.sorted_tables:
        missing = [
            right
            for right in _NEEDED
            if not transaction.connection.execute(
                ask, {"name": table.name, "right": right}
            ).scalar_one()
        ]
        if missing:
            yield _missing(table.name, missing, f'"{user}"')
    owner = transaction.connection.execute(
        text(
            "SELECT pg_get_userbyid(relowner) AS name, pg_has_role(relowner, 'USAGE') AS is_ours,"
            " has_schema_privilege(relnamespace, 'CREATE') AS may_create"
            " FROM pg_class WHERE oid = 'celers_task_archive'::regclass"
        )
    ).one()
    if not owner.is_ours or not owner.may_create:
        yield warning(
            f"the user {user} can neither make nor drop partitions of celers_task_archive",
            "Finished tasks all go to one partition, and retention deletes them row by row.",
            f'GRANT "{owner.name}" TO "{user}"'
            if not owner.is_ours
            else f'GRANT CREATE ON SCHEMA public TO "{user}"',
        )


def _mysql(transaction: Transaction) -> Iterator[Finding]:
    """By EXPLAIN, which needs the rights of its statement and does nothing; grants can nest."""
    user = transaction.connection.execute(text("SELECT CURRENT_USER()")).scalar_one()
    name, _, host = str(user).rpartition("@")
    for table in metadata.sorted_tables:
        column = next(iter(table.primary_key.columns)).name
        tried = {
            "SELECT": f"EXPLAIN SELECT 1 FROM {table.name} WHERE 1 = 0",
            "INSERT": f"EXPLAIN INSERT INTO {table.name} ({column}) VALUES (NULL)",
            "UPDATE": f"EXPLAIN UPDATE {table.name} SET {column} = NULL WHERE 1 = 0",
            "DELETE": f"EXPLAIN DELETE FROM {table.name} WHERE 1 = 0",
        }
        missing = [right for right, statement in tried.items() if _denied(transaction, statement)]
        if missing:
            yield _missing(table.name, missing, f"'{name}'@'{host}'")


def _denied(transaction: Transaction, statement: str) -> bool:
    try:
        transaction.connection.execute(text(statement)).all()
    except DBAPIError as problem:
        number = getattr(problem.orig, "args", (0,))[0]
        # No right on the table, on a column, on the database.
        return number in (1142, 1143, 1044)
    return False


def _missing(table: str, rights: list[str], user: str) -> Finding:
    listed = ", ".join(rights)
    return error(
        f"the user {user} may not {listed} {table}",
        "Statements that need it fail.",
        f"GRANT {listed} ON {table} TO {user}",
    )
