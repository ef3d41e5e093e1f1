"""Premises: a place of its own for tables that are to vanish again, beside what is there.

ground      what is the same everywhere: a place is taken, held and given back
postgres    a database, else a schema; ``mysql``: a database; ``servers``: what both share
sqlite      a file beside the named one
sessions    those of a place, to be ended
here        the named database itself, if it holds no table of Celers

A place is named for what it is and when it began. Whoever uses it holds a lock that ends with him,
so what a run that was killed has left is known for it, and erased by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celers_worker.core.errors import ConfigurationError
from celers_worker.store.base import StoreOptions
from celers_worker.store.premises.ground import Ground, Place, opened
from celers_worker.store.premises.sessions import end_sessions
from celers_worker.store.urls import parse_url


@contextmanager
def premises(url: str, options: StoreOptions, *, here: bool = False) -> Iterator[Place]:
    """A place on the server that *url* names, empty; when the block ends it is erased.

    What earlier ones have left that were killed is erased before. Raises Forbidden, naming the
    right that is missing, and ConfigurationError where there can be no such place.
    """
    with opened(_ground(url, options, here=here)) as place:
        yield place


def _ground(url: str, options: StoreOptions, *, here: bool) -> Ground:
    target, backend = parse_url(url)
    if options.pooled:
        raise ConfigurationError(
            "a pooler in transaction mode keeps no locks of a session: name the server itself, "
            'celers selftest --url URL, with pooler = "none" in [database].'
        )
    match backend.name, target.get_backend_name():
        case "sqlite", "memory":
            raise ConfigurationError(
                "memory:// is shared with no other process, so there is nothing to test. "
                "Run: celers selftest --url sqlite:///celers.db"
            )
        case "sqlite", _:
            from celers_worker.store.premises.sqlite import FileGround

            return FileGround(url, options, here=here)
        case "postgresql", _:
            from celers_worker.store.premises.postgres import PostgresGround

            return PostgresGround(url, options, here=here)
        case "mysql", _:
            from celers_worker.store.premises.mysql import MySQLGround

            return MySQLGround(url, options, here=here)
        case name, _:
            raise ConfigurationError(
                f"of {name} nobody knows here how to make a place beside the named one: the "
                "selftest runs on PostgreSQL, MySQL, MariaDB and SQLite."
            )


__all__ = ["Place", "end_sessions", "premises"]
