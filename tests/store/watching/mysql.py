"""MySQL and MariaDB count what a session reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from celers_worker.store.transaction import Transaction
from tests.store.watching.watch import Touched, Watch


class MySQLWatch(Watch):
    """Rows are reads by the handlers. The store must have a pool of one connection."""

    def __enter__(self) -> Self:
        assert self.store.options.pool_size == 1
        return self

    def __exit__(self, *details: object) -> None:
        pass

    @asynccontextmanager
    async def touched(self) -> AsyncIterator[Touched]:
        touched = Touched()
        first, before = await self.store.run(_counters), await self.store.run(_counters)
        yield touched
        used = await self.store.run(_counters) - before
        used -= before - first  # what it costs to read the counters
        touched.rows = sum(used[name] for name in used if name.startswith("Handler"))
        touched.sorted = used["Sort_rows"]
        # Each of these reads its list of ids, and no table.
        used["Select_scan"] -= used.pop("Com_delete_multi", 0)
        touched.faults = [
            f"{name}: {used[name]}" for name in used if name.startswith("Select") and used[name]
        ]


def _counters(transaction: Transaction) -> Counter[str]:
    rows = transaction.connection.exec_driver_sql(
        "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%%' OR Variable_name"
        " IN ('Handler_icp_attempts', 'Sort_rows', 'Select_scan', 'Select_full_join',"
        " 'Com_delete_multi')"
    )
    return Counter({name: int(value) for name, value in rows})
