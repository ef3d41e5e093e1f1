"""Named places in the life of a task at which a process can be made to die, fail or freeze.

The product has none of this: a process of the tests wraps the store's own doors before it starts,
and only if ``FAULTS_CRASH`` names a point. A point is ``<operation>.<moment>``, where *operation*
is the name of a function of a transaction (``claim settle enqueue renew recover reap …``) and
*moment* is

    begun      the transaction is open, nothing has been asked
    written    every statement has been answered, nothing is committed
    committed  it is committed, and nobody here knows

PostgreSQL's hot three commit by themselves: they have no ``written``.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine.default import DefaultDialect

VARIABLE, NOTES = "FAULTS_CRASH", "FAULTS_NOTES"
_ACTIONS = ("kill", "fail", "freeze", "exit")


class CrashPoint(NamedTuple):
    """The *nth* time that *name* is reached in a process, *action* happens: once, or every time."""

    name: str
    nth: int = 1
    action: str = "kill"
    again: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.nth}:{self.action}{':again' if self.again else ''}"

    @classmethod
    def read(cls, text: str) -> CrashPoint:
        """The point that ``str`` wrote."""
        name, nth, action, *again = text.split(":")
        if action not in _ACTIONS:
            raise ValueError(f"{action!r} is none of {_ACTIONS}")
        return cls(name, int(nth), action, bool(again))


class _Armed:
    """The point of this process, and how often each has been reached."""

    def __init__(self, point: CrashPoint) -> None:
        self._point = point
        self._reached: Counter[str] = Counter()

    def reach(self, name: str) -> None:
        point = self._point
        if name != point.name:
            return
        self._reached[name] += 1
        due = self._reached[name]
        if due < point.nth or (due > point.nth and not point.again):
            return
        note(f"crash {point}")
        match point.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "freeze":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "exit":
                os._exit(0)
            case _:
                raise ConnectionResetError(f"as the tests wanted, at {name}")


def note(line: str) -> None:
    """Append a line to the notes of this test, at once."""
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def install_from_environment() -> None:
    """Arm the point that the environment names, if it names one."""
    if text := os.environ.get(VARIABLE):
        install(CrashPoint.read(text))


def install(point: CrashPoint) -> None:
    """Arm *point* in this process."""
    armed = _Armed(point)
    _wrap_transactions(armed)
    _wrap_held_connections(armed)
    _count_statements(armed)


def _wrap_transactions(armed: _Armed) -> None:
    from celers_worker.store.base import Store
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.sqlite import SQLiteStore

    for door in (Store, SQLiteStore, DirectStore):
        door.run = _watched(armed, door.run)  # type: ignore[method-assign]
    commit = DefaultDialect.do_commit

    def do_commit(self: DefaultDialect, connection: Any) -> None:
        names = _operations(connection)
        for name in names:
            armed.reach(f"{name}.written")
        commit(self, connection)
        for name in names:
            armed.reach(f"{name}.committed")

    rollback = DefaultDialect.do_rollback

    def do_rollback(self: DefaultDialect, connection: Any) -> None:
        _operations(connection)
        rollback(self, connection)

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]
    DefaultDialect.do_rollback = do_rollback  # type: ignore[method-assign]


def _operations(connection: Any) -> list[str]:
    """Take the names of the operations that ran in the transaction of *connection*."""
    try:
        names: list[str] = connection.info.pop("operations", [])
    except NotImplementedError:  # of the pool's own, before the first transaction
        return []
    return names


def _watched(armed: _Armed, run: Callable[..., Any]) -> Any:
    @functools.wraps(run)
    def watched(self: Any, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        @functools.wraps(operation)
        def noted(transaction: Any, *args: Any, **kwargs: Any) -> Any:
            name = operation.__name__
            armed.reach(f"{name}.begun")
            # Several of SQLite's share a commit, and one that fails is run again by itself.
            transaction.connection.info.setdefault("operations", []).append(name)
            return operation(transaction, *args, **kwargs)

        return run(self, noted, *args, **kwargs)

    return watched


def _wrap_held_connections(armed: _Armed) -> None:
    from celers_worker.store.postgres import hot
    from celers_worker.store.postgres.held import HeldConnection

    kinds = {"CLAIM": "claim", "COMPLETE": "settle", "DISCARD": "settle", "ENQUEUE": "enqueue"}
    names = {
        id(getattr(hot, constant)): kind
        for constant in vars(hot)
        for prefix, kind in kinds.items()
        if constant.startswith(prefix)
    }
    fetch = HeldConnection.fetch

    async def noted(self: HeldConnection, statement: Any, **values: Any) -> list[Any]:
        # Those for many tasks are compiled when they are needed.
        adds = "INSERT INTO celers_tasks" in statement.text
        name = names.get(id(statement), "enqueue" if adds else "ask")
        armed.reach(f"{name}.begun")
        rows = await fetch(self, statement, **values)
        try:
            armed.reach(f"{name}.committed")
        except ConnectionResetError as error:
            from celers_worker.store.errors import raise_translated

            raise_translated(error, "the database")
        return rows

    HeldConnection.fetch = noted  # type: ignore[method-assign]


def _count_statements(armed: _Armed) -> None:
    """``statement.answered``: each statement, for what is no such operation, as migrations."""
    from sqlalchemy import Engine

    @event.listens_for(Engine, "after_cursor_execute")
    def answered(*_: Any) -> None:
        armed.reach("statement.answered")
