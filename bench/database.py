"""A database to measure on, and what its server spends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import TypeAlias

from celers_worker.store import make_direct_store, migrate

#: What can be measured on, with the names of the products.
PRODUCTS: Mapping[str, str] = MappingProxyType(
    {"sqlite": "SQLite", "postgres": "PostgreSQL", "mysql": "MariaDB"}
)


class Database(ABC):
    """A new, empty database with our tables, for one measurement."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    @abstractmethod
    def cpu_seconds(self) -> float:
        """What the server used so far, with all its processes; 0 if there is none."""

    @property
    def written_bytes(self) -> int | None:
        """What was written ahead so far, where that is told."""
        return None

    def settle_down(self) -> None:  # noqa: B027 - most have nothing to do
        """Let what the server would do within a minute be done now, and not while we measure."""

    def flush(self) -> None:  # noqa: B027 - most have nothing to do
        """Let what was loaded be on the disk, so that it is not written while we measure."""

    @contextmanager
    def statements(self) -> Iterator[Callable[[], int] | None]:
        """A block that counts the statements of all sessions that begin in it, if that can be."""
        yield None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A block in which another session has a snapshot open, as a dump does."""
        raise NotImplementedError(f"{type(self).__name__} has no snapshots that hold up others.")

    @property
    def has_snapshots(self) -> bool:
        """Whether what one session looks at can keep others from cleaning up."""
        return type(self).snapshot is not Database.snapshot

    def migrate(self) -> None:
        """Make our tables."""
        with make_direct_store(self.url) as store:
            migrate.upgrade(store)


#: A block with a new database.
NewDatabase: TypeAlias = Callable[[], AbstractContextManager[Database]]


def version_of(new_database: NewDatabase) -> str:
    """Product and version of the server."""
    with new_database() as database, make_direct_store(database.url) as store:
        return str(store.open())
