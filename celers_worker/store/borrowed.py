"""Transactions on a connection that the application owns, and commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from celers_worker.core.errors import ConfigurationError
from celers_worker.store import raw
from celers_worker.store.backends import backend_of_dialect
from celers_worker.store.transaction import Transaction

R = TypeVar("R")


async def run(session: Any, operation: Callable[[Transaction], R]) -> R:
    """Run *operation* in the transaction of *session*, without committing it."""
    if isinstance(session, AsyncSession):
        session = await session.connection()
    if raw.is_asynchronous(session):
        return await raw.run(session, lambda connection: operation(_transaction(connection)))
    if isinstance(session, AsyncConnection):
        return await session.run_sync(lambda connection: operation(_transaction(connection)))
    return run_sync(session, operation)


def run_sync(session: Any, operation: Callable[[Transaction], R]) -> R:
    """Run *operation* in the transaction of a synchronous *session*, without committing it."""
    if isinstance(session, Session):
        session = session.connection()
    if isinstance(session, Connection):
        return operation(_transaction(session))
    if raw.is_synchronous(session):
        return raw.run_sync(session, lambda connection: operation(_transaction(connection)))
    raise ConfigurationError(
        f"using() got a {type(session).__name__}: pass a SQLAlchemy Session, AsyncSession, "
        "Connection or AsyncConnection whose transaction has begun, or a connection of psycopg, "
        "asyncpg, PyMySQL, asyncmy or sqlite3."
    )


def _transaction(connection: Connection) -> Transaction:
    return backend_of_dialect(connection.dialect.name).direct_class.transaction(connection)
