"""Migrations: apply, undo, show. The scripts are in ``alembic/`` at the top of the repository."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, func, inspect, select, text
from sqlalchemy.exc import OperationalError

from celers_worker.core.errors import CelersError, ConfigurationError, Unavailable
from celers_worker.store import enqueue_function
from celers_worker.store.direct import DirectStore
from celers_worker.store.errors import raise_translated
from celers_worker.store.schema import HEAD, tasks
from celers_worker.store.server import (
    check_server,
    newer_schema,
    schema_revision,
    server_of,
)

#: Any number will do, as long as every version of Celers takes the same.
_LOCK = 7_227_651_802
_LOCK_NAME = "celers_migrate"
#: A migration that runs elsewhere is waited for this long, in seconds.
_PATIENCE = 60
#: And looked for this often, where the server does not wait for us.
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration."""

    id: str
    description: str
    applied: bool


def upgrade(store: DirectStore, *, to: str = HEAD, notes: list[str] | None = None) -> list[str]:
    """Apply what is missing and return its revisions. Safe to run twice, and from two places.

    What could be left out and had to be is told in *notes*, with how to get it. *to*: the revision
    that is wanted, if not the newest.
    """
    with _locked(store) as connection:
        before = schema_revision(connection)
        if before is not None and before > HEAD:
            raise newer_schema(before)
        _end_reading(connection)
        told = [] if notes is None else notes
        command.upgrade(_config(connection=connection, notes=told), to)
        applied = [one.id for one in _revisions(to) if one.applied]
        return [revision for revision in applied if before is None or revision > before]


def downgrade(store: DirectStore, *, force: bool = False) -> str | None:
    """Undo the newest migration and return its revision; None if there is none.

    Raises CelersError while there are live tasks, unless *force*.
    """
    with _locked(store) as connection:
        revision = schema_revision(connection)
        if revision is None:
            return None
        if not force:
            _refuse_to_lose(connection)
        _end_reading(connection)
        command.downgrade(_config(connection=connection), "-1")
        return revision


def undoable(store: DirectStore, *, force: bool = False) -> Revision | None:
    """The migration that ``downgrade`` would undo. Raises as that would."""
    newest = next((one for one in reversed(revisions(store)) if one.applied), None)
    if newest is not None and not force:
        store.run(lambda transaction: _refuse_to_lose(transaction.connection))
    return newest


def make_function(store: DirectStore) -> None:
    """Make ``celers_enqueue`` again, once its maker has the right to. Raises Refused."""
    store.run(lambda transaction: enqueue_function.make(transaction.connection))


def revisions(store: DirectStore) -> list[Revision]:
    """Every migration, the oldest first, with whether it has been applied."""

    def read(transaction: Any) -> str | None:
        return schema_revision(transaction.connection)

    return _revisions(store.run(read))


def sql(backend: str, *, since: str | None = None) -> str:
    """The SQL of the migrations after *since*, for a person to run.

    Raises ConfigurationError if there is no such migration.
    """
    known = [one.id for one in _revisions(None)]
    if since is not None and since not in known:
        raise ConfigurationError(f"there is no migration {since!r}; there are {', '.join(known)}.")
    output = io.StringIO()
    span = f"{since}:head" if since else "head"
    command.upgrade(_config(dialect=backend, output=output), span, sql=True)
    return output.getvalue()


# --- the steps of migrations: each looks whether it has been done ---


def create_table(name: str, *columns: Column[Any], **options: Any) -> None:
    """Create a table unless it exists."""
    if _offline() or not inspect(op.get_bind()).has_table(name):
        op.create_table(
            name,
            *columns,
            mysql_engine="InnoDB",
            mysql_charset="utf8mb4",
            mysql_collate="utf8mb4_bin",
            **options,
        )


def create_index(name: str, table: str, columns: Sequence[str], **options: Any) -> None:
    """Create an index unless it exists."""
    if _offline() or name not in {
        index["name"] for index in inspect(op.get_bind()).get_indexes(table)
    }:
        op.create_index(name, table, columns, **options)


def add_columns(table: str, *columns: Column[Any]) -> None:
    """Add the columns that a table has not got."""
    known = set() if _offline() else _column_names(table)
    for column in columns:
        if column.name not in known:
            op.add_column(table, column)


def drop_columns(table: str, *names: str) -> None:
    """Drop the columns that a table has."""
    known = set(names) if _offline() else _column_names(table)
    for name in names:
        if name in known:
            op.drop_column(table, name)


def drop_index(name: str, table: str) -> None:
    """Drop an index if it exists."""
    if _offline() or name in {index["name"] for index in inspect(op.get_bind()).get_indexes(table)}:
        op.drop_index(name, table)


def _column_names(table: str) -> set[str]:
    return {column["name"] for column in inspect(op.get_bind()).get_columns(table)}


def drop_table(name: str) -> None:
    """Drop a table if it exists."""
    if _offline() or inspect(op.get_bind()).has_table(name):
        op.drop_table(name)


def _offline() -> bool:
    return bool(op.get_context().as_sql)


# --- inside ---


def _revisions(current: str | None) -> list[Revision]:
    script = ScriptDirectory.from_config(_config())
    return [
        Revision(one.revision, one.doc.splitlines()[0].rstrip("."), (current or "") >= one.revision)
        for one in reversed(list(script.walk_revisions()))
    ]


def _config(**attributes: Any) -> Config:
    config = Config()
    # In the wheel the scripts lie inside the package, in a checkout beside it.
    package = Path(__file__).parent.parent
    inside = package / "_alembic"
    location = inside if inside.is_dir() else package.parent / "alembic"
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.attributes.update(attributes)
    return config


@contextmanager
def _locked(store: DirectStore) -> Iterator[Connection]:
    """A connection that holds the lock of migrations, at the latest until it is closed."""
    try:
        with store.engine.connect() as connection:
            check_server(server_of(connection))
            connection.rollback()
            if store.options.pooled and connection.dialect.name == "postgresql":
                with _locked_by_another(store):
                    yield connection.execution_options(celers_unbounded=True)
                    connection.commit()
                return
            _lock(connection)
            try:
                yield connection
                connection.commit()
            finally:
                connection.rollback()
                _unlock(connection)
    except Exception as error:  # translated
        raise_translated(error, store.name)


def _refuse_to_lose(connection: Connection) -> None:
    live = connection.execute(select(func.count()).select_from(tasks)).scalar_one()
    if live:
        raise CelersError(
            f"{live:,} live tasks would be lost. Let them end, or: celers migrate down --force"
        )


@contextmanager
def _locked_by_another(store: DirectStore) -> Iterator[None]:
    """The lock in a transaction beside: behind a pooler no session could hold it."""
    with store.engine.connect() as guard, guard.begin():
        guard.execute(text(f"SET LOCAL statement_timeout = '{_PATIENCE}s'"))
        guard.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        guard.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        yield


def _lock(connection: Connection) -> None:
    match connection.dialect.name:
        case "postgresql":
            connection.execute(text(f"SET statement_timeout = '{_PATIENCE}s'"))
            connection.execute(select(func.pg_advisory_lock(_LOCK)))
            connection.execute(text("SET statement_timeout = 0"))
            connection.commit()
        case "mysql" | "mariadb":
            end = time.monotonic() + _PATIENCE
            # Not waited for by the server: no call may take longer than ``call_timeout``.
            while connection.execute(select(func.get_lock(_LOCK_NAME, 0))).scalar() != 1:
                if time.monotonic() > end:
                    raise Unavailable(
                        "another migration is running. Wait for it, then run: celers migrate"
                    )
                time.sleep(_LOOK)
            connection.commit()
        case _:
            # SQLite's write lock is taken when the transaction begins, and DDL is part of it.
            pass


def _end_reading(connection: Connection) -> None:
    # On SQLite the transaction is the lock, so there the migrations run inside it.
    if connection.dialect.name != "sqlite":
        connection.rollback()


def _unlock(connection: Connection) -> None:
    try:
        match connection.dialect.name:
            case "postgresql":
                connection.execute(select(func.pg_advisory_unlock(_LOCK)))
            case "mysql" | "mariadb":
                connection.execute(select(func.release_lock(_LOCK_NAME)))
        connection.commit()
    except OperationalError:
        connection.invalidate()
