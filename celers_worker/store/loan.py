"""SQLite: the writer's connection, lent to the transaction of a handler.

A file has one writer at a time, and in this process that is the writer thread. So a handler's
transaction does not compete with it: it gets that thread's own connection, each of its calls
travels to the thread, and the transactions of everybody else wait until it ends. It must end in
time, for nobody can even renew a lease meanwhile.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from celers_worker.core.errors import Unavailable

#: How the borrower waits for an answer of the writer thread: in a greenlet, or by blocking.
Wait: TypeAlias = Callable[["Future[Any]"], Any]


class _Call(NamedTuple):
    function: Callable[[], Any]
    answer: Future[Any]


class Loan:
    """The writer's connection for one transaction, which may be open for *limit* seconds."""

    def __init__(self, limit: float, wait: Wait) -> None:
        self.opened: Future[sqlite3.Connection] = Future()
        """The connection, when it is the borrower's turn."""
        self._limit = limit
        self._wait = wait
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._over = False
        self._lock = threading.Lock()

    # --- what the borrower does ---

    def connection(self) -> LentConnection:
        """Wait for one's turn."""
        try:
            return LentConnection(self, self._wait(self.opened))
        except BaseException:  # raised again
            self.end()  # it may come all the same, and nobody would use it
            raise

    def call(self, function: Callable[[], Any]) -> Any:
        """Run *function* on the writer thread. Raises Unavailable when the time is over."""
        answer: Future[Any] = Future()
        with self._lock:
            if self._over:
                raise _too_long(self._limit)
            self._calls.put(_Call(function, answer))
        return self._wait(answer)

    def end(self) -> None:
        """Give the connection back; what is not committed is undone."""
        self._calls.put(None)

    # --- what the writer thread does ---

    def serve(self, connection: sqlite3.Connection) -> None:
        """Do what the borrower asks until he is done or his time is over."""
        if not self.opened.set_running_or_notify_cancel():
            return
        self.opened.set_result(connection)
        ends, begun = time.monotonic() + self._limit, False
        try:
            while (left := ends - time.monotonic()) > 0:
                call = self._calls.get(timeout=left)
                if call is None:
                    return
                _answer(call)
                if connection.in_transaction and not begun:
                    # Waiting for another process that writes to the file was not his time.
                    ends, begun = time.monotonic() + self._limit, True
        except queue.Empty:
            pass
        finally:
            self._close()
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()

    def _close(self) -> None:
        """Answer what comes too late."""
        with self._lock:
            self._over = True
        with contextlib.suppress(queue.Empty):
            while True:
                call = self._calls.get_nowait()
                if call is not None and call.answer.set_running_or_notify_cancel():
                    call.answer.set_exception(_too_long(self._limit))


def _answer(call: _Call) -> None:
    if call.answer.set_running_or_notify_cancel():
        try:
            call.answer.set_result(call.function())
        except BaseException as error:  # the thread that waits raises it
            call.answer.set_exception(error)


def _too_long(limit: float) -> Unavailable:
    return Unavailable(
        f"the transaction was open for {limit:g} s and has been rolled back: an SQLite file has "
        "one writer, and everybody waits for it. Keep the block short, and what you enqueue in it, "
        "enqueue with using(session)."
    )


class LentConnection:
    """A DB-API connection whose calls run on the writer thread."""

    isolation_level = None  # BEGIN is ours, as on the writer's engine

    def __init__(self, loan: Loan, raw: sqlite3.Connection) -> None:
        self._loan = loan
        self._raw = raw

    def cursor(self) -> LentCursor:
        """A cursor for one statement."""
        return LentCursor(self._loan, self._raw)

    def commit(self) -> None:
        """Commit. Raises Unavailable when the time is over; then nothing was written."""
        self._loan.call(self._raw.commit)

    def rollback(self) -> None:
        """Undo everything; when the time is over that has been done."""
        with contextlib.suppress(Unavailable):
            self._loan.call(self._raw.rollback)

    def close(self) -> None:
        """Give the connection back."""
        self._loan.end()

    def create_function(self, *arguments: Any, **options: Any) -> None:
        """SQLAlchemy's functions are on the writer's connection already."""


class LentCursor:
    """A DB-API cursor. It brings all rows at once, for each call is a trip between threads."""

    def __init__(self, loan: Loan, raw: sqlite3.Connection) -> None:
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1
        self._loan = loan
        self._raw = raw
        self._rows: deque[Any] = deque()

    def execute(self, statement: str, parameters: Any = ()) -> None:
        """Run one statement."""
        self._loan.call(lambda: self._run("execute", statement, parameters))

    def executemany(self, statement: str, parameters: Any) -> None:
        """Run one statement for each of many parameters."""
        self._loan.call(lambda: self._run("executemany", statement, parameters))

    def _run(self, method: str, statement: str, parameters: Any) -> None:
        with contextlib.closing(self._raw.cursor()) as cursor:
            getattr(cursor, method)(statement, parameters)
            self.description = cursor.description
            self._rows = deque(cursor.fetchall() if cursor.description else ())
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid

    def fetchone(self) -> Any:
        """The next row, or None."""
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        """The remaining rows."""
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def setinputsizes(self, *sizes: Any) -> None:
        """SQLite has no use for them."""

    async def _async_soft_close(self) -> None:
        """SQLAlchemy awaits it before it hands out the rows, which are here already."""

    def close(self) -> None:
        """Forget the rows."""
        self._rows.clear()


class LentDialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's dialect over a loan whose borrower waits in a greenlet."""

    driver = "celers_loan"
    is_async = True
    supports_statement_cache = True


registry.register("sqlite.celers_loan", __name__, "LentDialect")
