"""Backends: what opens the database that a URL names, ours or another package's.

docs/backends.md tells how to write one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from celers_worker.config.schemes import STORES, offered, offered_names
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from sqlalchemy import URL

    from celers_worker.store.base import Store
    from celers_worker.store.direct import DirectStore


def _as_it_is(url: URL) -> URL:
    return url


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """How one kind of database is opened; a package offers one as an entry point.

    ``store`` and ``direct`` are named as entry points are, ``package.module:Class``, and imported
    when one of them is made: a producer without an event loop needs no asynchronous driver.
    """

    name: str
    """SQLAlchemy's name of the database: ``postgresql``."""
    asynchronous: str
    """The driver of the asynchronous store, by the name of its module: ``asyncpg``."""
    synchronous: str
    """The driver of the direct store."""
    requirement: str
    """What pip has to install for the drivers."""
    store: str
    direct: str
    address: Callable[[URL], URL] = _as_it_is
    """From the user's URL to one that SQLAlchemy reads; the driver is set afterwards."""

    @property
    def store_class(self) -> type[Store]:
        """The asynchronous store."""
        loaded: type[Store] = resolve_name(self.store)
        return loaded

    @property
    def direct_class(self) -> type[DirectStore]:
        """The store for callers without an event loop; it knows the transaction too."""
        loaded: type[DirectStore] = resolve_name(self.direct)
        return loaded


_STORE = "celers_worker.store"
_POSTGRES = Backend(
    name="postgresql",
    asynchronous="asyncpg",
    synchronous="psycopg",
    requirement="celers-worker",
    store=f"{_STORE}.postgres.store:PostgresStore",
    direct=f"{_STORE}.postgres.direct:PostgresDirectStore",
)
_MYSQL = Backend(
    name="mysql",
    asynchronous="asyncmy",
    synchronous="pymysql",
    requirement="celers-worker[mysql]",
    store=f"{_STORE}.mysql:MySQLStore",
    direct=f"{_STORE}.mysql:MySQLDirectStore",
)
_SQLITE = Backend(
    name="sqlite",
    asynchronous="pysqlite",
    synchronous="pysqlite",
    requirement="celers-worker",
    store=f"{_STORE}.sqlite:SQLiteStore",
    direct=f"{_STORE}.sqlite:SQLiteDirectStore",
)
_MEMORY = replace(
    _SQLITE,
    store=f"{_STORE}.memory:MemoryStore",
    direct=f"{_STORE}.memory:MemoryDirectStore",
    address=lambda url: resolve_name(f"{_STORE}.memory").address(url),
)
_OURS: Mapping[str, Backend] = MappingProxyType(
    {
        "postgresql": _POSTGRES,
        "postgres": _POSTGRES,
        "mysql": _MYSQL,
        "mariadb": _MYSQL,
        "sqlite": _SQLITE,
        "memory": _MEMORY,
    }
)


def backend_of_scheme(scheme: str) -> Backend:
    """The backend for URLs of *scheme*.

    Raises ConfigurationError if nobody brings one, or the package that does cannot be imported.
    """
    name = scheme.split("+")[0]
    if name in _OURS:
        return _OURS[name]
    found = offered(name)
    if found is None:
        known = ", ".join([*_OURS, *offered_names()])
        raise ConfigurationError(
            f"{name!r} is no database Celers knows: use {known}, or install the package that "
            f"brings it (it has an entry point {name!r} in the group {STORES!r})."
        )
    return _loaded(found)


def backend_of_dialect(dialect: str) -> Backend:
    """The backend for connections of an application's own, by SQLAlchemy's name of the dialect.

    Ours go before another package's. Raises ConfigurationError if there is none.
    """
    if dialect in _OURS:
        return _OURS[dialect]
    for scheme in offered_names():
        backend = backend_of_scheme(scheme)
        if backend.name == dialect:
            return backend
    raise ConfigurationError(
        f"Celers knows no database of SQLAlchemy's dialect {dialect!r}: use sqlite, postgresql or "
        f"mysql, or install the package that brings it (entry points of the group {STORES!r})."
    )


def _loaded(found: EntryPoint) -> Backend:
    package = f"{found.dist.name} {found.dist.version}" if found.dist else "an installed package"
    try:
        backend: Any = found.load()
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the database {found.name!r} comes from {package}, which needs the module "
            f"{error.name}. Run: pip install {error.name}"
        ) from error
    except Exception as error:  # the code of another package
        raise ConfigurationError(
            f"the database {found.name!r} comes from {package}, whose {found.value} cannot be "
            f"imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(backend, Backend):
        raise ConfigurationError(
            f"the database {found.name!r} comes from {package}, whose {found.value} is a "
            f"{type(backend).__name__}: it must be a celers_worker.store.backends.Backend."
        )
    return backend
