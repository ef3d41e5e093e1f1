"""``ledger:///path``: SQLite that writes down what is done to tasks, in a file beside it."""

from celers_worker.store.backends import Backend

BACKEND = Backend(
    name="sqlite",
    asynchronous="pysqlite",
    synchronous="pysqlite",
    requirement="celers-ledger",
    store="celers_ledger.store:LedgerStore",
    direct="celers_ledger.store:LedgerDirectStore",
)
