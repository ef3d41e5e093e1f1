"""Column types that each database holds in its own way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import CHAR, DateTime, Text, Uuid
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


def in_utc(instant: datetime) -> datetime:
    """Return *instant* in UTC; a naive one is refused, for nobody knows which instant it means."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone.")
    return instant.astimezone(UTC)


class Id(TypeDecorator[UUID]):
    """A UUID: native on PostgreSQL, elsewhere CeleRS's hyphenated text, in any case."""

    impl = CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid())
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(
                mysql.CHAR(36, charset="ascii", collation="ascii_general_ci")
            )
        collation = "NOCASE" if dialect.name == "sqlite" else None
        return dialect.type_descriptor(CHAR(36, collation=collation))

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        """Send a UUID."""
        return value if value is None or dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        """Read a UUID, also one that another program wrote in capitals."""
        return value if value is None or dialect.name == "postgresql" else UUID(value)


class LenientJson(TypeDecorator[Any]):
    """JSON where the database does not check it: what another program broke reads as None.

    Else one row that nobody can read would stop every claim that meets it.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Send a document."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Read a document."""
        try:
            return None if value is None else msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError):
            return None


class UtcDateTime(TypeDecorator[datetime]):
    """An instant with microseconds, always aware and in UTC in Python."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Send an instant."""
        if value is None:
            return None
        utc = in_utc(value)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read an instant."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
