"""SQLite: a file, and no server; what it costs is the worker's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.database import Database, NewDatabase


class SQLiteFile(Database):
    """A file of its own."""

    @property
    def cpu_seconds(self) -> float:
        """None: whoever uses the file does the work."""
        return 0.0


@contextmanager
def sqlite() -> Iterator[NewDatabase]:
    """A block, for symmetry."""
    yield _new_file


@contextmanager
def _new_file() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="celers-bench-") as directory:
        database = SQLiteFile(f"sqlite:///{Path(directory) / 'celers.db'}")
        database.migrate()
        yield database
