"""What helps against an error of a database is decided by its code, in one place."""

import sqlite3

import asyncmy.errors
import asyncpg
import psycopg
import pymysql
import pytest
from sqlalchemy.exc import DBAPIError, TimeoutError

from celers_worker.core.errors import PayloadError, Refused, StoreError, Unavailable
from celers_worker.store.errors import Fault, fault_of, translate


def sqlite(code):
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = code
    return error


def mysql(code):
    """As a server's packet makes it: what is most of its codes to SQLSTATE is "HY000"."""
    error = pymysql.err.OperationalError(code, "no")
    error.sqlstate = "HY000"
    return error


CASES = [
    (Fault.CONFLICT, psycopg.errors.DeadlockDetected()),
    (Fault.CONFLICT, asyncpg.DeadlockDetectedError("no")),
    (Fault.CONFLICT, asyncpg.SerializationError("no")),
    (Fault.CONFLICT, asyncpg.LockNotAvailableError("no")),
    (Fault.CONFLICT, mysql(1213)),  # deadlock
    (Fault.CONFLICT, mysql(1205)),  # lock wait: only the statement was rolled back
    (Fault.CONFLICT, mysql(1020)),  # MariaDB's snapshot isolation
    (Fault.CONFLICT, mysql(1467)),  # a deadlock over the counter of a table
    (Fault.CONFLICT, asyncmy.errors.OperationalError(1213, "no")),
    (Fault.CONFLICT, sqlite(sqlite3.SQLITE_LOCKED)),
    (Fault.LOST, psycopg.errors.AdminShutdown()),
    (Fault.LOST, asyncpg.CannotConnectNowError("no")),
    (Fault.LOST, asyncpg.ConnectionDoesNotExistError("no")),
    (Fault.LOST, asyncpg.QueryCanceledError("no")),
    (Fault.LOST, asyncpg.InterfaceError("connection is closed")),
    (Fault.LOST, mysql(2006)),
    (Fault.LOST, mysql(2013)),
    (Fault.LOST, mysql(0)),
    (Fault.LOST, ConnectionRefusedError(111, "no")),
    (Fault.LOST, BrokenPipeError()),
    (Fault.BUSY, psycopg.errors.TooManyConnections()),
    (Fault.BUSY, psycopg.errors.DiskFull()),
    (Fault.BUSY, mysql(1040)),  # too many connections
    (Fault.BUSY, mysql(1114)),  # table full
    (Fault.BUSY, sqlite(sqlite3.SQLITE_BUSY)),
    (Fault.BUSY, sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT)),
    (Fault.BUSY, sqlite(sqlite3.SQLITE_FULL)),
    (Fault.BUSY, sqlite(sqlite3.SQLITE_IOERR_WRITE)),
    (Fault.BUSY, TimeoutError("the pool is used up")),
    (Fault.READ_ONLY, asyncpg.ReadOnlySQLTransactionError("no")),
    (Fault.READ_ONLY, psycopg.errors.ReadOnlySqlTransaction()),
    (Fault.READ_ONLY, mysql(1290)),
    (Fault.READ_ONLY, mysql(1836)),
    (Fault.READ_ONLY, mysql(1047)),  # a node that has left its cluster
    (Fault.CONFLICT, mysql(1317)),  # KILL QUERY
    (Fault.DATA, psycopg.errors.UniqueViolation()),
    (Fault.DATA, asyncpg.StringDataRightTruncationError("no")),
    (Fault.DATA, mysql(1406)),
    (Fault.DATA, mysql(1366)),
    (Fault.DATA, mysql(1441)),  # an instant out of range
    (Fault.DATA, sqlite(sqlite3.SQLITE_CONSTRAINT_UNIQUE)),
    (Fault.DATA, sqlite(sqlite3.SQLITE_TOOBIG)),
    (Fault.FORBIDDEN, psycopg.errors.InsufficientPrivilege()),
    (Fault.FORBIDDEN, asyncpg.InsufficientPrivilegeError("no")),
    (Fault.FORBIDDEN, mysql(1142)),
    (Fault.FORBIDDEN, mysql(1143)),
    (Fault.FORBIDDEN, mysql(1370)),
    (Fault.REFUSED, psycopg.errors.UndefinedTable()),
    (Fault.REFUSED, psycopg.OperationalError('x: FATAL:  database "d" does not exist')),
    (Fault.REFUSED, asyncpg.InvalidPasswordError("no")),
    (Fault.REFUSED, asyncpg.InvalidCatalogNameError("no")),
    (Fault.REFUSED, mysql(1045)),
    (Fault.REFUSED, mysql(1146)),
    (Fault.REFUSED, mysql(1049)),
    (Fault.REFUSED, sqlite(sqlite3.SQLITE_CANTOPEN)),
    (Fault.REFUSED, sqlite(sqlite3.SQLITE_CORRUPT)),
    (Fault.BUG, ValueError("ours")),
    (Fault.BUG, KeyError("ours")),
]
WRAPPED = [
    (fault, error)
    for fault, error in CASES
    if isinstance(error, (psycopg.Error, pymysql.MySQLError, sqlite3.Error))
]


def shown(case):
    return f"{type(case).__name__}-{case}"[:40] if isinstance(case, BaseException) else None


@pytest.mark.parametrize(("fault", "error"), CASES, ids=shown)
def test_an_error_is_classed_by_its_code(fault, error):
    assert fault_of(error) is fault


@pytest.mark.parametrize(("fault", "error"), WRAPPED, ids=shown)
def test_the_class_is_the_same_when_sqlalchemy_has_wrapped_the_error(fault, error):
    assert fault_of(DBAPIError("SELECT 1", {}, error)) is fault


def test_a_connection_that_broke_under_sqlalchemy_is_lost():
    broken = DBAPIError("SELECT 1", {}, mysql(1064), connection_invalidated=True)
    assert fault_of(broken) is Fault.LOST


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (mysql(2006), Unavailable, "mysql://host/db does not answer: no"),
        (mysql(1040), Unavailable, "mysql://host/db is busy: no"),
        (mysql(1213), Unavailable, "mysql://host/db is busy: no"),
        (mysql(1045), Refused, "mysql://host/db refused: no"),
        (mysql(1406), StoreError, "mysql://host/db cannot store this: no"),
    ],
)
def test_an_error_is_told_in_one_line(error, raised, message):
    translated = translate(error, "mysql://host/db")
    assert type(translated) is raised
    assert str(translated) == message


def test_only_the_first_line_of_a_long_answer_is_told():
    error = psycopg.errors.UniqueViolation('duplicate key "k"\nDETAIL:  Key (id)=(secret)')
    assert str(translate(error, "db")) == 'db cannot store this: duplicate key "k"'


@pytest.mark.parametrize("error", [PayloadError("args"), ValueError("ours")])
def test_what_is_no_database_error_is_left_as_it_is(error):
    assert translate(error, "db") is error
