"""A session on a server that takes no writes, as an old primary's after a failover."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from celers_worker.core.errors import Unavailable
from celers_worker.core.task import NewTask
from celers_worker.store import StoreOptions, make_direct_store
from celers_worker.store.transaction import Transaction
from tests.store.conftest import OpenStore

SERVERS = pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
ONE = StoreOptions(pool_size=1, call_timeout=timedelta(seconds=10))


def become_read_only(transaction: Transaction) -> None:
    words = "CHARACTERISTICS AS " if transaction.connection.dialect.name == "postgresql" else ""
    transaction.connection.execute(text(f"SET SESSION {words}TRANSACTION READ ONLY"))


@SERVERS
async def test_a_connection_that_takes_no_writes_is_not_used_again(open_store: OpenStore) -> None:
    store = await open_store(ONE)
    task = NewTask(name="work", payload=b"{}", unique_key="not the hot path")
    for _ in range(store.held + 1):  # whichever of the pool it gets
        await store.run(become_read_only)
        with pytest.raises(Unavailable, match="busy"):
            await store.run(store.transaction.enqueue, [task])
    assert [one.id for one in await store.enqueue([task])] == [task.id]


@SERVERS
def test_a_connection_without_a_loop_neither(migrated_url: str) -> None:
    task = NewTask(name="work", payload=b"{}")
    with make_direct_store(migrated_url, ONE) as direct:
        direct.run(become_read_only)
        with pytest.raises(Unavailable, match="busy"):
            direct.run(direct.transaction.enqueue, [task])
        assert [one.id for one in direct.enqueue([task])] == [task.id]
