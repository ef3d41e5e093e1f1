"""Connections of the drivers themselves, that the application owns, as SQLAlchemy connections.

What is written goes into the application's transaction, and nothing here begins or ends one: a
proxy lets no commit, rollback or close through, and no setting that would stay behind.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from celers_worker.core.errors import ConfigurationError

R = TypeVar("R")

#: SQLAlchemy's URL for each driver, by the module and the class of its connections.
_SYNCHRONOUS = {
    ("psycopg", "Connection"): "postgresql+psycopg://",
    ("pymysql", "Connection"): "mysql+pymysql://",
    ("sqlite3", "Connection"): "sqlite://",
}
_ASYNCHRONOUS = {
    ("psycopg", "AsyncConnection"): "postgresql+psycopg://",
    ("asyncpg", "Connection"): "postgresql+asyncpg://",
    ("asyncpg", "PoolConnectionProxy"): "postgresql+asyncpg://",
    ("asyncmy", "Connection"): "mysql+asyncmy://",
}
_ENDS = frozenset({"commit", "rollback", "close", "ensure_closed", "terminate"})
#: What SQLAlchemy sets on a new connection of its own.
_SETTINGS = frozenset({"add_notice_handler", "create_function", "set_type_codec"})

_borrowed: ContextVar[Any] = ContextVar("borrowed")


def is_synchronous(connection: object) -> bool:
    """Whether it is a synchronous connection of a driver we know."""
    return _url(connection, _SYNCHRONOUS) is not None


def is_asynchronous(connection: object) -> bool:
    """Whether it is an asynchronous connection of a driver we know."""
    return _url(connection, _ASYNCHRONOUS) is not None


def run_sync(connection: Any, operation: Callable[[Connection], R]) -> R:
    """Run *operation* in the transaction of *connection*. Raises ConfigurationError if none is."""
    _check_transaction(connection)
    token = _borrowed.set(_Borrowed(connection))
    try:
        with _engine(str(_url(connection, _SYNCHRONOUS))).connect() as wrapped:
            return operation(wrapped)
    finally:
        _borrowed.reset(token)


async def run(connection: Any, operation: Callable[[Connection], R]) -> R:
    """``run_sync`` for an asynchronous connection."""
    _check_transaction(connection)
    token = _borrowed.set(_Borrowed(connection))
    try:
        engine = _async_engine(str(_url(connection, _ASYNCHRONOUS)))
        async with engine.connect() as wrapped:
            return await wrapped.run_sync(operation)
    finally:
        _borrowed.reset(token)


class _Borrowed:
    """A connection without its ends."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        if name in _ENDS or name in _SETTINGS:
            return _nothing
        if name == "character_set_name":
            return lambda: None  # else it is set once more, with another collation perhaps
        return getattr(self._connection, name)

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor whose rows are tuples, whatever the application likes them to be."""
        return _tuple_cursor(self._connection, *args, **options)


class _Nothing:
    """What a call gives that is the application's to make; some are awaited, and some are not."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


def _nothing(*args: Any, **options: Any) -> _Nothing:
    """Stands for such a call."""
    return _Nothing()


def _tuple_cursor(connection: Any, *args: Any, **options: Any) -> Any:
    match _module(connection):
        case "psycopg":
            from psycopg.rows import tuple_row

            return connection.cursor(*args, **{"row_factory": tuple_row, **options})
        case "pymysql":
            from pymysql.cursors import Cursor

            return connection.cursor(Cursor)
        case "asyncmy":
            from asyncmy.cursors import Cursor as AsyncCursor

            return connection.cursor(AsyncCursor)
        case "sqlite3":
            cursor = connection.cursor(*args, **options)
            cursor.row_factory = None
            return cursor
        case _:
            return connection.cursor(*args, **options)


@cache
def _engine(url: str) -> Engine:
    return create_engine(
        url, creator=_borrowed.get, poolclass=NullPool, hide_parameters=True, **_options(url)
    )


@cache
def _async_engine(url: str) -> AsyncEngine:
    # asyncpg's own transaction is the application's; SQLAlchemy would begin one inside it.
    level = {"isolation_level": "AUTOCOMMIT"} if "asyncpg" in url else {}

    async def borrow(*args: Any, **options: Any) -> Any:
        return _borrowed.get()

    return create_async_engine(
        url,
        async_creator=borrow,
        poolclass=NullPool,
        hide_parameters=True,
        **_options(url),
        **level,
    )


def _options(url: str) -> dict[str, Any]:
    # To look for hstore psycopg wants a connection of its own class.
    return {"use_native_hstore": False} if "psycopg" in url else {}


def _check_transaction(connection: Any) -> None:
    """Refuse a connection that would commit each statement by itself."""
    if not _in_transaction(connection):
        raise ConfigurationError(
            f"using() got a {_module(connection)} connection that commits each statement by "
            "itself: begin a transaction first, so that your rows and the task are one commit."
        )


def _in_transaction(connection: Any) -> bool:
    """Whether a transaction is under way, or the next statement begins one."""
    match _module(connection):
        case "psycopg":
            return not connection.autocommit or connection.info.transaction_status.name != "IDLE"
        case "asyncpg":
            return bool(connection.is_in_transaction())
        case "sqlite3":
            legacy = getattr(connection, "autocommit", -1) == -1  # Python 3.12 has the attribute
            begins = connection.isolation_level is not None if legacy else not connection.autocommit
            return connection.in_transaction or begins
        case _:
            in_transaction = connection.server_status & 1  # SERVER_STATUS_IN_TRANS
            return bool(in_transaction) or not connection.get_autocommit()


def _url(connection: object, known: dict[tuple[str, str], str]) -> str | None:
    for kind in type(connection).__mro__:
        if url := known.get((kind.__module__.split(".")[0], kind.__name__)):
            return url
    return None


def _module(connection: object) -> str:
    """The driver that *connection* belongs to, also of a class derived from its own."""
    modules = [kind.__module__.split(".")[0] for kind in type(connection).__mro__]
    drivers = {module for module, _ in (*_SYNCHRONOUS, *_ASYNCHRONOUS)}
    return next(module for module in modules if module in drivers)
