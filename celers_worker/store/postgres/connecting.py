"""Connections to PostgreSQL besides the pool's: to the same servers, by the same rules."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy import URL
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect

from celers_worker.store.base import StoreOptions
from celers_worker.store.postgres.session import settings_of, without_settings
from celers_worker.store.tls import Tls


def whichever_writes(url: URL) -> dict[str, Any]:
    """What makes a driver pass over standbys, if *url* names several servers and does not say."""
    several = isinstance(url.query.get("host"), tuple) or "," in str(url.query.get("host", ""))
    if not several or "target_session_attrs" in url.query:
        return {}
    return {"target_session_attrs": "read-write"}


def patience(url: URL, options: StoreOptions) -> float:
    """How long to connect may take, in seconds: each server that *url* names gets its time."""
    named = url.query.get("host", "")
    count = len(named) if isinstance(named, tuple) else named.count(",") + 1
    return count * options.connect_timeout.total_seconds()


async def connect(url: URL, options: StoreOptions, tls: Tls) -> Any:
    """A connection of asyncpg's own; to be bounded by ``patience``."""
    dialect = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's factory
    plain = without_settings(url)
    _, arguments = dialect.create_connect_args(plain)  # type: ignore[no-untyped-call]  # as above
    arguments.pop("prepared_statement_cache_size", None)  # the pool's own
    timeout = options.connect_timeout.total_seconds()
    ours = {"timeout": timeout, **whichever_writes(url), **tls.asyncpg}
    if settings := settings_of(url):
        ours["server_settings"] = settings
    return await asyncpg.connect(**{**arguments, **ours})
