"""The stores: what SQLite's do, and a line for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from celers_worker.core.outcome import Settlement
from celers_worker.core.task import Demand, Enqueued, NewTask, Task
from celers_worker.store.sqlite import SQLiteDirectStore, SQLiteStore


def write_down(file: str | None, what: str, count: int) -> None:
    with Path(f"{file}.ledger").open("a") as ledger:
        ledger.write(f"{what} {count}\n")


class LedgerDirectStore(SQLiteDirectStore):
    """The synchronous store."""

    def enqueue(self, tasks: Sequence[NewTask], **options: Any) -> list[Enqueued]:
        """Add *tasks*."""
        added = super().enqueue(tasks, **options)
        write_down(self.url.database, "enqueue", len(added))
        return added


class LedgerStore(SQLiteStore):
    """The asynchronous store; ``direct`` migrates it when it is opened."""

    direct = LedgerDirectStore

    async def enqueue(self, tasks: Sequence[NewTask], **options: Any) -> list[Enqueued]:
        """Add *tasks*."""
        added = await super().enqueue(tasks, **options)
        write_down(self.url.database, "enqueue", len(added))
        return added

    async def claim(self, worker: str, demand: Demand) -> list[Task]:
        """Lease tasks."""
        claimed = await super().claim(worker, demand)
        write_down(self.url.database, "claim", len(claimed))
        return claimed

    async def settle(self, worker: str, settlements: Sequence[Settlement]) -> set[UUID]:
        """Write outcomes."""
        settled = await super().settle(worker, settlements)
        write_down(self.url.database, "settle", len(settled))
        return settled
