"""Memory: a SQLite database without a file, which everything in one process shares.

SQLite keeps it as a file of its own in-memory file system, so the writer thread, the direct store
and every event loop have connections to the same tables, and wait for each other as on a disk.
"""

from __future__ import annotations

import atexit
import contextlib
import re
import sqlite3
import threading
from pathlib import Path

from sqlalchemy import URL

from celers_worker.core.errors import ConfigurationError, Refused
from celers_worker.store.base import StoreOptions
from celers_worker.store.sqlite import SQLiteDirectStore, SQLiteStore

#: The first SQLite whose databases in memory can be shared by name.
_OLDEST = (3, 36)
_PREFIX = "file:/celers-memory-"
_TEMPLATE = "template."  # no URL can name it: it has a dot

#: One connection to each database, for without any it would be gone.
_kept: dict[str, sqlite3.Connection] = {}
_lock = threading.RLock()


def address(url: URL) -> URL:
    """From ``memory://NAME`` to what SQLite calls it. Raises ConfigurationError for a bad name."""
    name = url.host or ""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", name) or url.database or url.username or url.port:
        raise ConfigurationError(
            "a database in memory has a name of letters, digits, - and _, or none: write "
            "memory:// or memory://NAME."
        )
    return _address(name)


def forget(url: str) -> None:
    """Let the database of *url*, as ``memory://NAME``, end when nothing has it open any more."""
    with _lock:
        connection = _kept.pop(_PREFIX + url.removeprefix("memory://"), None)
        if connection is not None:
            connection.close()


def _address(name: str) -> URL:
    return URL.create("sqlite", database=_PREFIX + name, query={"vfs": "memdb", "uri": "true"})


def _connect(database: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{database}?vfs=memdb",
        uri=True,
        isolation_level=None,
        timeout=0,
        check_same_thread=False,
    )


def _keep(url: URL) -> None:
    """Have the database of *url*, with our tables, until the process ends or it is forgotten."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise Refused(
            f"SQLite {sqlite3.sqlite_version} is too old for memory://: it needs 3.36 or newer. "
            "Use a file: sqlite:///celers.db"
        )
    database = url.database or ""
    with _lock:
        if database in _kept:
            return
        if database != _PREFIX + _TEMPLATE:
            _migrate_template()
        connection = _kept[database] = _connect(database)
        if database != _PREFIX + _TEMPLATE:
            _kept[_PREFIX + _TEMPLATE].backup(connection)


def _migrate_template() -> None:
    """Migrate once; to copy it takes a hundredth of the time."""
    if _PREFIX + _TEMPLATE not in _kept:
        with MemoryDirectStore(_address(_TEMPLATE), StoreOptions()) as template:
            template.open()


@atexit.register
def _end() -> None:
    for connection in _kept.values():
        connection.close()
    _kept.clear()


class MemoryDirectStore(SQLiteDirectStore):
    """The synchronous store on a database in memory."""

    def __init__(self, url: URL, options: StoreOptions) -> None:
        _keep(url)
        super().__init__(url, options)

    @property
    def name(self) -> str:
        """The database as messages call it."""
        return _name(self.url)

    @property
    def file(self) -> Path | None:
        """None: nothing is on the disk."""
        return None


class MemoryStore(SQLiteStore):
    """The store on a database in memory."""

    direct = MemoryDirectStore

    def __init__(self, url: URL, options: StoreOptions) -> None:
        _keep(url)
        super().__init__(url, options)

    @property
    def name(self) -> str:
        """The database as messages call it."""
        return _name(self.url)

    def _watching_connection(self) -> sqlite3.Connection:
        return _connect(self.url.database or "")

    def _version(self, connection: sqlite3.Connection) -> object:
        # Here a transaction that writes keeps readers out: the next look sees what it did.
        with contextlib.suppress(sqlite3.OperationalError):
            return super()._version(connection)
        return None


def _name(url: URL) -> str:
    return f"memory://{(url.database or '').removeprefix(_PREFIX)}"
