"""The named database itself, for who may make no other: marked first, cleared last."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, inspect

from celers_worker.core.errors import ConfigurationError
from celers_worker.store import history_triggers, migrate
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import VERSION_TABLE

#: The table that says whose the others are, and the lock of who uses them.
MARK = "celers_selftest"
_mark = Table(MARK, MetaData(), Column("id", Integer, primary_key=True))
_version = Table(VERSION_TABLE, MetaData())


def is_marked(direct: DirectStore) -> bool:
    """Whether the tables in it are a selftest's."""
    return MARK in _tables(direct)


def refuse_if_used(direct: DirectStore) -> None:
    """Raise ConfigurationError if the database holds a table of Celers."""
    if found := _tables(direct):
        raise ConfigurationError(
            f"{direct.name} holds tables of Celers ({found[0]} …), where a selftest would put its "
            "own. Name an empty database: celers selftest --here --url URL"
        )


def mark(direct: DirectStore) -> None:
    """Say that what follows is a selftest's."""
    direct.run(lambda transaction: _mark.create(transaction.connection))


def clear(direct: DirectStore) -> None:
    """Take away everything that migrations have made, and the mark last. Nothing without a mark."""
    if not is_marked(direct):
        return
    if "celers_tasks" in _tables(direct):
        direct.run(lambda transaction: history_triggers.drop(transaction.connection))
    while migrate.downgrade(direct, force=True) is not None:
        pass
    direct.run(lambda transaction: _version.drop(transaction.connection, checkfirst=True))
    direct.run(lambda transaction: _mark.drop(transaction.connection, checkfirst=True))


def _tables(direct: DirectStore) -> list[str]:
    names = direct.run(lambda transaction: inspect(transaction.connection).get_table_names())
    return sorted(name for name in names if name.startswith("celers_"))
