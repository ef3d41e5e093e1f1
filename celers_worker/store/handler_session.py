"""A handler's own transaction, in which its task is settled too: one commit for both.

The connections come from a pool of their own, made when the first handler asks: handlers that hold
all of it keep nobody from claiming, settling and renewing leases.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum, auto
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from celers_worker.core.errors import CelersError, Unavailable
from celers_worker.core.outcome import Settlement
from celers_worker.core.task import TaskState
from celers_worker.store import statements
from celers_worker.store.base import RipCord, Store
from celers_worker.store.deadline import bounded
from celers_worker.store.errors import raise_translated
from celers_worker.store.schema import archive, dead_letters
from celers_worker.store.transaction import Transaction

T = TypeVar("T")

_ENDED_INSIDE = (
    "the transaction of this block was ended inside it, so the task cannot be completed in it. "
    "Leave commit() and rollback() to the block: raise an exception to undo it, or use "
    "session.begin_nested() for a part that may fail."
)


class Fate(Enum):
    """What became of a commit whose answer was lost."""

    COMMITTED = auto()
    UNDONE = auto()
    """Nothing was written, and the task is still ours."""
    LOST = auto()
    """Nothing was written, and the task is somebody else's, or has ended otherwise."""


def fate_of(transaction: Transaction, settlement: Settlement, *, keep_completed: bool) -> Fate:
    """Find out whether the transaction that completed *settlement*'s task was committed.

    It has locked the task's row, so to lock it here waits until that transaction has ended, one
    way or the other. Without *keep_completed* a completed task leaves no trace but its absence.
    """
    task = settlement.task
    found = transaction.connection.execute(statements.HELD, {"ids": [task.id]}).first()
    if found is not None:
        return Fate.UNDONE if found.lease == task.lease else Fate.LOST
    ended = transaction.connection.execute(
        select(archive.c.lease, archive.c.state).where(archive.c.id == task.id)
    ).first()
    if ended is not None:
        ours = ended.lease == task.lease and ended.state == TaskState.COMPLETED
        return Fate.COMMITTED if ours else Fate.LOST
    dead = transaction.connection.execute(
        select(dead_letters.c.id).where(dead_letters.c.id == task.id)
    ).first()
    return Fate.LOST if keep_completed or dead is not None else Fate.COMMITTED


class HandlerSession:
    """A session on the worker's database, its transaction begun; bounded as every call is."""

    def __init__(self, store: Store, engine: AsyncEngine) -> None:
        self._store = store
        self._engine = engine
        self._cord = RipCord()
        self._connection: AsyncConnection | None = None
        self._session: AsyncSession | None = None

    @property
    def session(self) -> AsyncSession:
        """What the handler works with."""
        if self._session is None:
            raise AssertionError("open makes it")
        return self._session

    async def settle(self, worker: str, settlement: Settlement) -> bool:
        """Write the outcome, uncommitted; False: the lease is lost, so nothing may be committed."""
        await self.session.flush()
        connection = self._active()
        return await self._bounded(
            connection.run_sync(lambda plain: _settle(self._store, plain, worker, settlement))
        )

    async def commit(self) -> None:
        """Commit. When it raises, whether it was committed has to be found out."""
        connection = self._active()
        try:
            await self._bounded(connection.commit())
        except BaseException:  # raised again
            # Its locks would keep whoever finds out waiting.
            await self._drop()
            raise

    async def open(self) -> None:
        """Connect and begin. Raises StoreError."""
        await self._bounded(self._open())

    async def close(self) -> None:
        """Undo what is not committed, and give the connection back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await self._bounded(self._close(connection))
        except Exception:  # it is given up, whatever that was
            self._connection = connection
            await self._drop()

    def _active(self) -> AsyncConnection:
        connection = self._connection
        if connection is None or not _is_active(connection.sync_connection):
            raise CelersError(_ENDED_INSIDE)
        return connection

    async def _open(self) -> None:
        self._connection = await self._engine.connect()
        await self._cord.attach(self._connection)
        await self._connection.begin()
        self._session = AsyncSession(
            self._connection, expire_on_commit=False, join_transaction_mode="rollback_only"
        )

    async def _close(self, connection: AsyncConnection) -> None:
        if connection.in_transaction():
            await connection.rollback()
        if self._session is not None:
            await self._session.close()
        await connection.close()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._cord.pull()
            with suppress(Exception):
                await connection.invalidate()
            with suppress(Exception):
                await self._bounded(connection.close())

    async def _bounded(self, work: Coroutine[Any, Any, T]) -> T:
        seconds = self._store.options.call_timeout.total_seconds()
        try:
            return await bounded(work, seconds, abandon=self._cord.pull)
        except Exception as error:  # translated
            raise_translated(error, self._store.name)


class HandlerSessions:
    """Opens sessions for the handlers of one worker: asynchronous ones, and those of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine: AsyncEngine | None = None
        self._sync_engine: Engine | None = None
        self._lock = threading.Lock()
        # To wait for one's turn is no failure, so no deadline of the pool's may end it.
        self._turns = asyncio.Semaphore(store.handler_sessions)
        self._sync_turns = threading.Semaphore(store.handler_sessions)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[HandlerSession]:
        """A session; what it has not committed at the end is undone. Raises StoreError."""
        async with self._turns:
            if self._engine is None:
                self._engine = self._store.engine_for_handlers()
            opened = HandlerSession(self._store, self._engine)
            try:
                await opened.open()
                yield opened
            finally:
                await opened.close()

    @contextmanager
    def open_sync(self) -> Iterator[SyncHandlerSession]:
        """The same for a thread."""
        with self._sync_turns:
            with self._lock:
                if self._sync_engine is None:
                    self._sync_engine = self._store.sync_engine_for_handlers()
            with _translated(self._store):
                connection = self._sync_engine.connect()
            opened = SyncHandlerSession(self._store, connection)
            try:
                with _translated(self._store):
                    connection.begin()
                yield opened
            finally:
                with suppress(Exception):  # what is broken is undone by the server
                    connection.rollback()
                    opened.session.close()
                connection.close()

    async def close(self) -> None:
        """Close the pools, as the store closes its own."""
        seconds = self._store.options.connect_timeout.total_seconds()
        if self._engine is not None:
            with suppress(Unavailable):
                await bounded(self._engine.dispose(), seconds, abandon=lambda: None)
            self._engine = None
        if self._sync_engine is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._sync_engine.dispose)
            self._sync_engine = None


class SyncHandlerSession:
    """What HandlerSession is, for a handler in a thread; its driver has the deadlines."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self._connection = connection
        self.session = Session(
            connection, expire_on_commit=False, join_transaction_mode="rollback_only"
        )

    def settle(self, worker: str, settlement: Settlement) -> bool:
        """Write the outcome, uncommitted; False: the lease is lost."""
        self.session.flush()
        if not _is_active(self._connection):
            raise CelersError(_ENDED_INSIDE)
        with _translated(self._store):
            return _settle(self._store, self._connection, worker, settlement)

    def commit(self) -> None:
        """Commit. When it raises, whether it was committed has to be found out."""
        try:
            with _translated(self._store):
                self._connection.commit()
        except BaseException:  # raised again: its state is unknown
            self._connection.invalidate()
            raise


def _settle(store: Store, connection: Connection, worker: str, settlement: Settlement) -> bool:
    settled = store.transaction(connection).settle(
        worker, [settlement], keep_completed=store.options.keep_completed
    )
    return settlement.task.id in settled


def _is_active(connection: Connection | None) -> bool:
    transaction = None if connection is None else connection.get_transaction()
    return transaction is not None and transaction.is_active


@contextmanager
def _translated(store: Store) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # translated
        raise_translated(error, store.name)
