"""What every watch offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Self

from celers_worker.store import Store
from celers_worker.store.schema import archive, tasks

#: The tables that grow large.
LARGE = (tasks.name, archive.name)


@dataclass(slots=True)
class Touched:
    """What the statements of a block touched."""

    #: Rows and index entries that were read; what exactly is counted depends on the watch.
    rows: int = 0
    #: Pages that were looked at, where the database tells: an index walked in vain shows only here.
    pages: int = 0
    #: The most rows that were sorted. A settle may sort those it locks, a claim those it counts.
    sorted: int = 0
    #: Sequential scans of large tables.
    faults: list[str] = field(default_factory=list)


class Watch(ABC):
    """Watches one store, which must not have connected yet."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *details: object) -> None: ...

    @abstractmethod
    def touched(self) -> AbstractAsyncContextManager[Touched]:
        """A block whose statements are watched; read what they touched after it."""

    def limit(self, batch: int, bare: Touched) -> int:
        """Rows that a batch may touch, which touched *bare* with nothing around it."""
        return 10 * batch
