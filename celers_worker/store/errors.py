"""What a database error means for us, decided in one place.

Reference for the classes: SQLSTATE (PostgreSQL, appendix A), MySQL and MariaDB error codes, SQLite
result codes.
"""

from __future__ import annotations

import re
import sqlite3
from enum import Enum, auto
from typing import NoReturn

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from celers_worker.core.errors import (
    CelersError,
    Forbidden,
    Refused,
    StoreError,
    Unavailable,
    UnknownPooler,
    Untrusted,
)
from celers_worker.store.tls_failure import tls_problem


class Fault(Enum):
    """Classes of database errors, by what helps."""

    CONFLICT = auto()
    """Nothing was written: the whole transaction may be repeated at once."""
    LOST = auto()
    """The connection broke or the server is away: whether it was written is unknown."""
    BUSY = auto()
    """The server is full or out of connections: nothing was written; wait."""
    READ_ONLY = auto()
    """The server takes no writes, perhaps for good: nothing was written; connect anew and wait."""
    DATA = auto()
    """These values will never be accepted."""
    REFUSED = auto()
    """Rights, a missing table or database, a wrong password: a person must act."""
    FORBIDDEN = auto()
    """A right is missing, which the owner of the tables can grant."""
    UNTRUSTED = auto()
    """The server is not known to be the right one, or there is no TLS."""
    BUG = auto()
    """Not the database's: an error of ours or of the caller."""


_SQLSTATES = {
    Fault.CONFLICT: ("40001", "40P01", "55P03"),
    Fault.LOST: ("08", "57P01", "57P02", "57P03", "57014"),
    Fault.BUSY: ("53", "58"),
    Fault.READ_ONLY: ("25006",),
    Fault.DATA: ("22", "23", "54"),
    Fault.FORBIDDEN: ("42501",),
    Fault.REFUSED: ("28", "3D", "42", "0A"),
}
_MYSQL_CODES = {
    Fault.CONFLICT: {1213, 1205, 1020, 1317, 1467},
    Fault.LOST: {0, 2002, 2003, 2006, 2013, 2055, 1927, 1152, 1053, 1158, 1159, 1160, 1161},
    Fault.BUSY: {1040, 1203, 1021, 1037, 1114, 1129, 1226, 3100},
    # 1047: a node of a Galera cluster that does not belong to it now.
    Fault.READ_ONLY: {1290, 1792, 1836, 1047},
    Fault.DATA: {1048, 1062, 1264, 1366, 1406, 1441, 4025, 1153, 3819},
    Fault.FORBIDDEN: {1142, 1143, 1227, 1370},
    Fault.REFUSED: {1044, 1045, 1049, 1054, 1064, 1146, 1698},
}
_SQLITE_CODES = {
    Fault.CONFLICT: {sqlite3.SQLITE_LOCKED},
    Fault.BUSY: {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
    },
    Fault.DATA: {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH},
    Fault.REFUSED: {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_PERM,
    },
}

#: Of a connection that was refused, libpq has no SQLSTATE to tell, only this text.
_LIBPQ_REFUSAL = re.compile(
    "FATAL: .*(does not exist|authentication failed|no pg_hba.conf entry|permission denied)"
)


#: What PgBouncer says to sessions it cannot keep, and what servers say of statements that another
#: client has prepared.
_POOLER = re.compile(
    r"unsupported startup parameter|prepared statement \S+ (does not exist|already exists)"
)


def fault_of(error: BaseException) -> Fault:
    """Say what *error* means; what is no database error is a bug."""
    if tls_problem(error) is not None:
        return Fault.UNTRUSTED
    if isinstance(error, DBAPIError):
        fault = fault_of(error.orig) if error.orig is not None else Fault.LOST
        # A read-only server has said so, and written nothing: see below.
        lost = error.connection_invalidated and fault is not Fault.READ_ONLY
        return Fault.LOST if lost else fault
    if isinstance(error, PoolTimeout):
        return Fault.BUSY
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if isinstance(sqlite_code, int):
        return _by_code(_SQLITE_CODES, sqlite_code & 0xFF, Fault.REFUSED)
    of_driver = _is_driver_error(error)
    code = error.args[0] if of_driver and error.args else None
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(code, int):  # MySQL's SQLSTATE says less, and for most nothing: HY000
        otherwise = _by_sqlstate(sqlstate) if isinstance(sqlstate, str) else Fault.REFUSED
        return _by_code(_MYSQL_CODES, code, otherwise)
    if isinstance(sqlstate, str):
        return _by_sqlstate(sqlstate)
    if of_driver:
        if _LIBPQ_REFUSAL.search(str(error)):
            return Fault.REFUSED
        # No code: the driver itself noticed that its connection is closed or out of step.
        return Fault.LOST
    if isinstance(error, (OSError, TimeoutError, EOFError)):
        return Fault.LOST
    return Fault.BUG


def leave_servers_that_take_no_writes(engine: Engine) -> None:
    """Let the pool of *engine* drop its connections when the server has become read-only.

    After a failover the old primary may live on as a standby, and a connection to it would fail
    for ever: a new one goes where the URL, a name or a balancer leads now.
    """

    @event.listens_for(engine, "handle_error")
    def look(context: ExceptionContext) -> None:
        if fault_of(context.original_exception) is Fault.READ_ONLY:
            context.is_disconnect = True


def translate(error: BaseException, database: str) -> BaseException:
    """Return what to raise instead of *error*: one of our StoreErrors, or itself if it is a bug."""
    if isinstance(error, CelersError):
        return error
    if _POOLER.search(_message(error)):
        return UnknownPooler(
            f"{database} is behind a connection pooler in transaction mode ({_message(error)}): "
            'set pooler = "transaction" in [database].'
        )
    fault = fault_of(error)
    message = tls_problem(error) if fault is Fault.UNTRUSTED else _message(error)
    translated = _translated(fault, message or "", database)
    if translated is None:
        return error
    translated.kind = fault.name.lower()
    return translated


def _translated(fault: Fault, message: str, database: str) -> StoreError | None:
    match fault:
        case Fault.LOST:
            return Unavailable(f"{database} does not answer: {message}")
        case Fault.CONFLICT | Fault.BUSY | Fault.READ_ONLY:
            return Unavailable(f"{database} is busy: {message}")
        case Fault.REFUSED:
            return Refused(f"{database} refused: {message}")
        case Fault.FORBIDDEN:
            return Forbidden(
                f"{database} refused: {message.rstrip('.')}. What a user needs its owner learns "
                "from: celers grants --role producer|worker|viewer|operator"
            )
        case Fault.UNTRUSTED:
            return Untrusted(f"{database} is not trusted: {message}.")
        case Fault.DATA:
            return StoreError(f"{database} cannot store this: {message}")
        case Fault.BUG:
            return None


def raise_translated(error: Exception, database: str) -> NoReturn:
    """Raise the translation of *error*, with it as the cause."""
    translated = translate(error, database)
    if translated is error:
        raise error
    raise translated from error


def _message(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # MySQL's drivers give (code, text); the others one text, whose first line says it.
    text = str(cause.args[-1]) if cause.args else str(cause)
    lines = (text or type(cause).__name__).strip().splitlines() or [type(cause).__name__]
    first = lines[0]
    return first.split(">: ", 1)[1] if first.startswith("<class") and ">: " in first else first


def _by_sqlstate(sqlstate: str) -> Fault:
    for fault, prefixes in _SQLSTATES.items():
        if sqlstate.startswith(prefixes):
            return fault
    return Fault.REFUSED


def _by_code(table: dict[Fault, set[int]], code: int, otherwise: Fault) -> Fault:
    return next((fault for fault, codes in table.items() if code in codes), otherwise)


def _is_driver_error(error: BaseException) -> bool:
    modules = {kind.__module__.split(".")[0] for kind in type(error).__mro__}
    adapted = any(kind.__module__.startswith("sqlalchemy.dialects") for kind in type(error).__mro__)
    return adapted or bool(modules & {"asyncpg", "psycopg", "pymysql", "asyncmy", "sqlite3"})
