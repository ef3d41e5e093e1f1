"""SQLite: one writer thread with group commit.

SQLite has one writer at a time, and a commit costs a sync of the disk. So every transaction of a
process goes to one thread, which takes all that wait into one BEGIN IMMEDIATE … COMMIT and tells
them after the commit. Other processes (the CLI, a second worker) take turns by the file's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, ClassVar, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from celers_worker.core.errors import Unavailable
from celers_worker.store.base import SILENCE, Store, StoreOptions, Wakeup
from celers_worker.store.direct import DirectStore
from celers_worker.store.errors import raise_translated
from celers_worker.store.loan import LentConnection, Loan, Wait
from celers_worker.store.transaction import Transaction

P = ParamSpec("P")
R = TypeVar("R")

#: Transactions in one commit. They wait for each other, so not too many.
GROUP = 64
#: How often to look for changes by others: one pragma, which reads a counter in shared memory.
LOOK = 0.005


def sqlite_engine(url: URL, *, busy_timeout: float, pool_size: int = 1) -> Engine:
    """An engine whose transactions take the write lock when they begin.

    Its connections are kept: to close a file's last one costs a checkpoint, each time.

    A transaction that starts as a reader and then writes fails at once when another has written in
    between, whatever the timeout; one that takes the lock first only waits.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        hide_parameters=True,
        connect_args={"timeout": busy_timeout, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours, below
        connection.execute("PRAGMA journal_mode = WAL")
        # Survives a crash of the process, and with FULL of the machine: an enqueue that returned
        # is on the disk.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")

    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class _Job(NamedTuple):
    operation: Callable[[Transaction], Any]
    answer: Callable[[Any, BaseException | None], None]


class _Writer(threading.Thread):
    """Runs the transactions of this process, as many as wait in one commit."""

    def __init__(self, engine: Engine, transaction: type[Transaction]) -> None:
        super().__init__(name="celers-sqlite-writer", daemon=True)
        self.jobs: queue.SimpleQueue[_Job | Loan | None] = queue.SimpleQueue()
        self._engine = engine
        self._transaction = transaction
        self._connection: Connection | None = None

    def run(self) -> None:
        """Work until a None comes."""
        job = self.jobs.get()
        while job is not None:
            if isinstance(job, Loan):
                self._lend(job)
                job = self.jobs.get()
                continue
            group = [job]
            with contextlib.suppress(queue.Empty):
                while len(group) < GROUP and isinstance(job := self.jobs.get_nowait(), _Job):
                    group.append(job)
            self._commit(group)
            if job is group[-1]:  # else a loan, or the end, has cut the group off, and is next
                job = self.jobs.get()
        self._disconnect()

    def _lend(self, loan: Loan) -> None:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            raw = self._connection.connection.dbapi_connection
        except BaseException as error:  # whoever borrows it raises it
            self._disconnect()
            if loan.opened.set_running_or_notify_cancel():
                loan.opened.set_exception(error)
            return
        loan.serve(cast(sqlite3.Connection, raw))

    def _commit(self, group: list[_Job]) -> None:
        """Commit *group* in one transaction; if one of it fails, each by itself.

        If the commit fails, nobody knows what was written, and each is told so: to run a claim
        again would leave the tasks of the first one to nobody.
        """
        committing = False
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                transaction = self._transaction(self._connection)
                values = [job.operation(transaction) for job in group]
                committing = True
        except BaseException as error:  # each caller raises it: this thread goes on
            if len(group) > 1 and not committing:
                for job in group:
                    self._commit([job])
                return
            self._disconnect()
            for job in group:
                job.answer(None, error)
            return
        for job, value in zip(group, values, strict=True):
            job.answer(value, None)

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None


class SQLiteTransaction(Transaction):
    """A transaction on SQLite."""

    def join(self) -> None:
        """Take the write lock, as our own do when they begin; see ``sqlite_engine``."""
        raw = self.connection.connection.driver_connection
        if not getattr(raw, "in_transaction", True):
            self.connection.exec_driver_sql("BEGIN IMMEDIATE")


class SQLiteDirectStore(DirectStore):
    """The synchronous store on a SQLite file."""

    transaction = SQLiteTransaction
    embedded = True

    @property
    def file(self) -> Path | None:
        """The file; None for one in memory."""
        return Path(self.url.database) if self.url.database else None

    def _make_engine(self) -> Engine:
        busy, size = self.call_seconds, self.options.pool_size
        return sqlite_engine(self.url, busy_timeout=busy, pool_size=size)


class SQLiteStore(Store):
    """The store on a SQLite file."""

    transaction = SQLiteTransaction
    direct: ClassVar[type[SQLiteDirectStore]] = SQLiteDirectStore

    def __init__(self, url: URL, options: StoreOptions) -> None:
        super().__init__(url, options)
        self._writer: _Writer | None = None

    async def open(self) -> None:
        """Migrate the file if it is new or old, then check it as every database."""
        await asyncio.to_thread(self._bring_up_to_date)
        await super().open()

    def _bring_up_to_date(self) -> None:
        with self.direct(self.url, self.options) as direct:
            direct.open()

    async def close(self) -> None:
        """Let the writer finish what it has, and end it."""
        if self._writer is not None:
            self._writer.jobs.put(None)
            seconds = self.options.call_timeout.total_seconds()
            await asyncio.get_running_loop().run_in_executor(None, self._writer.join, seconds)
            self._writer = None

    async def run(
        self,
        operation: Callable[Concatenate[Transaction, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Hand *operation* to the writer thread and wait for its commit."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def settle(value: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        def answer(value: Any, error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop that asked is closed
                loop.call_soon_threadsafe(settle, value, error)

        self._running_writer().jobs.put(
            _Job(lambda transaction: operation(transaction, *args, **kwargs), answer)
        )
        seconds = self.options.call_timeout.total_seconds() + 1
        await asyncio.wait({future}, timeout=seconds)
        if not future.done():
            future.cancel()
            raise Unavailable(f"{self.name} did not answer within {seconds:g} s.")
        try:
            return future.result()
        except Exception as error:  # translated
            raise_translated(error, self.name)

    async def wakeups(self) -> AsyncGenerator[Wakeup, None]:
        """Yield when any connection has changed the file."""
        connection = self._watching_connection()
        try:
            seen = None
            alive_at = time.monotonic()
            while True:
                version = self._version(connection)
                if version != seen:
                    seen = version
                    self.pacing.came()
                    yield Wakeup()
                elif time.monotonic() - alive_at >= SILENCE / 2:
                    alive_at = time.monotonic()
                    yield Wakeup(tasks=False)
                await asyncio.sleep(self.pacing.pause(LOOK))
        finally:
            connection.close()

    @property
    def handler_sessions(self) -> int:
        """One, for there is one writer."""
        return 1

    def engine_for_handlers(self) -> AsyncEngine:
        """Its connections are the writer's own, lent for one transaction each."""
        engine = create_async_engine(
            self.url.set(drivername="sqlite+celers_loan"),
            poolclass=NullPool,
            hide_parameters=True,
            creator=lambda: self._borrow(lambda answer: await_only(asyncio.wrap_future(answer))),
        )
        event.listen(engine.sync_engine, "begin", _begin)
        return engine

    def sync_engine_for_handlers(self) -> Engine:
        """The same for handlers in threads."""
        engine = create_engine(
            self.url,
            poolclass=NullPool,
            hide_parameters=True,
            creator=lambda: self._borrow(lambda answer: answer.result()),
        )
        event.listen(engine, "begin", _begin)
        return engine

    def _borrow(self, wait: Wait) -> LentConnection:
        loan = Loan(self.options.call_timeout.total_seconds(), wait)
        self._running_writer().jobs.put(loan)
        return loan.connection()

    def _watching_connection(self) -> sqlite3.Connection:
        # One of its own: the counter tells of the changes of all others, the writer's too.
        return sqlite3.connect(self.url.database or "", isolation_level=None)

    def _version(self, connection: sqlite3.Connection) -> object:
        return connection.execute("PRAGMA data_version").fetchone()

    def _running_writer(self) -> _Writer:
        if self._writer is None or not self._writer.is_alive():
            busy = self.options.call_timeout.total_seconds()
            self._writer = _Writer(sqlite_engine(self.url, busy_timeout=busy), self.transaction)
            self._writer.start()
        return self._writer
