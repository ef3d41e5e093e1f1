"""Least rights: what each role may do to each table, and the GRANTs that say so to a server.

The owner of the tables migrates them and sets up audit trails; nobody else changes what a table is.
A worker makes and drops the archive's partitions by ``celers_maintain``, which does as its owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import Connection, text

from celers_worker.core.errors import ConfigurationError
from celers_worker.store import enqueue_function
from celers_worker.store.postgres import partitions
from celers_worker.store.schema import (
    TASK_COLUMNS,
    VERSION_TABLE,
    archive,
    attempts,
    audited,
    dead_letters,
    history,
    metadata,
    queues,
    results,
    task_edges,
    tasks,
    unique_windows,
    workflow_steps,
    workflows,
)

#: Privileges on a table, each for some columns, or for all of them if there is None.
Rights: TypeAlias = Mapping[str, Sequence[str] | None]


class Role(StrEnum):
    """Who works with the tables."""

    PRODUCER = "producer"
    """Adds tasks; cannot read what they are about, nor settle them."""
    WORKER = "worker"
    """Runs tasks, and keeps what has ended in order."""
    VIEWER = "viewer"
    """Lists and counts, without arguments and results."""
    OPERATOR = "operator"
    """Does what the command line offers, but for changes of the tables themselves."""


_READ: Rights = {"SELECT": None}
_WRITE: Rights = {"SELECT": None, "INSERT": None, "UPDATE": None, "DELETE": None}

#: What a viewer does not get to see: what tasks are about.
_CONTENT: Mapping[str, Sequence[str]] = {
    tasks.name: ("payload",),
    archive.name: ("payload",),
    dead_letters.name: ("payload",),
    results.name: ("result", "error_data", "traceback"),
    attempts.name: ("traceback",),
    workflow_steps.name: ("template",),
}
#: What only whoever claims or ends a task writes.
_OF_RUNS = (
    "lease",
    "retry_count",
    "crash_count",
    "worker_id",
    "started_at",
    "completed_at",
    "error_message",
    "cancel_requested_at",
    "cancel_reason",
)


def rights(role: Role) -> dict[str, Rights]:
    """What *role* may do, by table; a table that is missing is closed to it."""
    match role:
        case Role.PRODUCER:
            return {
                VERSION_TABLE: _READ,
                tasks.name: {
                    "SELECT": ("id", "state", "queue_name", "unique_key"),
                    "INSERT": [name for name in TASK_COLUMNS if name not in _OF_RUNS],
                },
                archive.name: {"SELECT": ("id",)},
                dead_letters.name: {"SELECT": ("id",)},
                unique_windows.name: _WRITE,
                workflows.name: {"SELECT": ("id",), "INSERT": None},
                workflow_steps.name: {"INSERT": None},
                task_edges.name: {"INSERT": None},
            }
        case Role.WORKER:
            return {
                **dict.fromkeys(metadata.tables, _WRITE),
                # The trail is written by triggers, as the owner; pruning locks what it deletes.
                history.name: {"SELECT": None, "UPDATE": None, "DELETE": None},
                VERSION_TABLE: _READ,
                queues.name: _READ,
                audited.name: _READ,
            }
        case Role.VIEWER:
            return {
                VERSION_TABLE: _READ,
                **{
                    name: {
                        "SELECT": [
                            column.name
                            for column in table.columns
                            if column.name not in _CONTENT[name]
                        ]
                    }
                    if name in _CONTENT
                    else _READ
                    for name, table in metadata.tables.items()
                },
            }
        case Role.OPERATOR:
            return {**dict.fromkeys(metadata.tables, _WRITE), VERSION_TABLE: _READ}


def grants(connection: Connection, role: Role, user: str | None = None) -> list[str]:
    """The statements that let *user* of the server be *role*, for the database of *connection*.

    *user* is ``celers_ROLE`` by default; on MySQL it may be ``name@host``. They add rights and take
    none away. Raises ConfigurationError on SQLite, whose rights are those of the file.
    """
    name = user or f"celers_{role}"
    match connection.dialect.name:
        case "postgresql":
            return list(_on_postgres(connection, role, name))
        case "mysql" | "mariadb":
            return list(_on_mysql(connection, role, name))
        case _:
            raise ConfigurationError(
                "an SQLite database has no users: whoever may write its file may do everything. "
                "Give the file to one user: chmod 600"
            )


def _on_postgres(connection: Connection, role: Role, user: str) -> Iterator[str]:
    database, schema = connection.execute(text("SELECT current_database(), current_schema()")).one()
    quote = connection.dialect.identifier_preparer.quote_identifier
    to, inside = quote(user), quote(schema)
    yield f"GRANT CONNECT ON DATABASE {quote(database)} TO {to}"
    yield f"GRANT USAGE ON SCHEMA {inside} TO {to}"
    allowed_to = rights(role)
    if role is Role.VIEWER:  # figures read the archive's newest pages, partition by partition
        columns = allowed_to[archive.name]["SELECT"] or ()
        allowed_to[archive.name] = {"SELECT": [*columns, "ctid", "tableoid"]}
    for table, allowed in allowed_to.items():
        yield f"GRANT {_listed(allowed)} ON TABLE {inside}.{quote(table)} TO {to}"
    if role is Role.OPERATOR:  # who brings an export back writes the trail
        yield f"GRANT USAGE ON SEQUENCE {inside}.{quote(f'{history.name}_id_seq')} TO {to}"
    for function in _functions(role):
        yield f"GRANT EXECUTE ON FUNCTION {inside}.{quote(function)} TO {to}"


def _on_mysql(connection: Connection, role: Role, user: str) -> Iterator[str]:
    database = connection.execute(text("SELECT DATABASE()")).scalar_one()
    quote = connection.dialect.identifier_preparer.quote_identifier
    name, at, host = user.rpartition("@")
    account = f"{_literal(name)}@{_literal(host)}" if at else f"{_literal(user)}@'%'"
    allowed_to = rights(role)
    if role is Role.PRODUCER:
        # An INSERT that leaves out what is there changes nothing of it, and yet MariaDB wants the
        # right to change every column of that INSERT. And to look who has a unique key locks it.
        for table in (tasks.name, workflows.name):
            allowed_to[table] = {**allowed_to[table], "UPDATE": allowed_to[table]["INSERT"]}
    for table, allowed in allowed_to.items():
        place = f"{quote(database)}.{quote(table)}"
        yield f"GRANT {_listed(allowed)} ON {place} TO {account}"
    if enqueue_function.NAME in _functions(role):
        routine = f"{quote(database)}.{quote(enqueue_function.NAME)}"
        yield f"GRANT EXECUTE ON PROCEDURE {routine} TO {account}"


def _functions(role: Role) -> list[str]:
    return {
        Role.PRODUCER: [enqueue_function.NAME],
        Role.WORKER: [enqueue_function.NAME, partitions.FUNCTION],
        Role.VIEWER: [],
        Role.OPERATOR: [enqueue_function.NAME, partitions.FUNCTION],
    }[role]


def _listed(allowed: Rights) -> str:
    return ", ".join(
        privilege if columns is None else f"{privilege} ({', '.join(columns)})"
        for privilege, columns in allowed.items()
    )


def _literal(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "''") + "'"
