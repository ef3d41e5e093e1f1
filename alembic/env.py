"""Alembic's entry: runs the migrations on the connection that `celers migrate` hands over."""

import os

from alembic import context

from celers_worker.store import make_direct_store
from celers_worker.store.schema import VERSION_TABLE, metadata

OPTIONS = {"target_metadata": metadata, "version_table": VERSION_TABLE}


def run_migrations_offline() -> None:
    """Print the SQL instead of running it."""
    dialect = context.config.attributes.get("dialect", "postgresql")
    context.configure(
        dialect_name=dialect,
        output_buffer=context.config.attributes.get("output"),
        literal_binds=True,
        **OPTIONS,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Run on the caller's connection, or for a developer on CELERS_DATABASE_URL."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        with make_direct_store(os.environ["CELERS_DATABASE_URL"]).engine.connect() as own:
            _run(own)
    else:
        _run(connection)


def _run(connection) -> None:
    # Each migration in its own transaction where DDL is transactional: killed between two, a run
    # leaves the database at the last one that ended.
    context.configure(connection=connection, transaction_per_migration=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
