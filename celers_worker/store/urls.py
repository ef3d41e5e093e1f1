"""From the one URL of the configuration to the URLs of drivers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from celers_worker.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Drivers:
    """The drivers for one kind of database, with the extra of pip that brings them."""

    backend: str
    asynchronous: str
    synchronous: str
    extra: str = ""


_POSTGRES = Drivers("postgresql", "asyncpg", "psycopg")
_MYSQL = Drivers("mysql", "asyncmy", "pymysql", extra="[mysql]")
_SQLITE = Drivers("sqlite", "pysqlite", "pysqlite")
_DRIVERS = {
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": _SQLITE,
}


def parse_url(text: str) -> tuple[URL, Drivers]:
    """Read a database URL. Raises ConfigurationError, which never repeats the password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "the database URL cannot be read: write scheme://user:password@host:port/database, "
            "and percent-encode special characters of the password."
        ) from None
    drivers = _DRIVERS.get(url.drivername.split("+")[0])
    if drivers is None:
        raise ConfigurationError(
            f"{url.drivername!r} is no database Celers knows: "
            "use sqlite, postgresql, mysql or mariadb."
        )
    return url, drivers


def driver_url(text: str, *, synchronous: bool) -> URL:
    """The URL with the driver that we use. Raises ConfigurationError if it is not installed."""
    url, drivers = parse_url(text)
    driver = drivers.synchronous if synchronous else drivers.asynchronous
    module = "sqlite3" if driver == "pysqlite" else driver
    if find_spec(module) is None:
        raise ConfigurationError(
            f"{drivers.backend} needs the package {module}, which is not installed. "
            f"Run: pip install 'celers-worker{drivers.extra}'"
        )
    return url.set(drivername=f"{drivers.backend}+{driver}")


def shown_url(url: URL) -> str:
    """The URL as its user wrote it, without the driver, the options and the password."""
    plain = url.set(drivername=url.get_backend_name(), query={})
    return plain.render_as_string(hide_password=True)
