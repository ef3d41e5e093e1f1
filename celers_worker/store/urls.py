"""From the one URL of the configuration to the URLs of drivers."""

from __future__ import annotations

from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from celers_worker.core.errors import ConfigurationError
from celers_worker.store.backends import Backend, backend_of_scheme


def parse_url(text: str) -> tuple[URL, Backend]:
    """Read a database URL. Raises ConfigurationError, which never repeats the password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "the database URL cannot be read: write scheme://user:password@host:port/database, "
            "and percent-encode special characters of the password."
        ) from None
    return url, backend_of_scheme(url.drivername)


def driver_url(text: str, *, synchronous: bool) -> tuple[URL, Backend]:
    """The URL with the driver that we use. Raises ConfigurationError if it is not installed."""
    url, backend = parse_url(text)
    driver = backend.synchronous if synchronous else backend.asynchronous
    module = "sqlite3" if driver == "pysqlite" else driver
    if find_spec(module) is None:
        raise ConfigurationError(
            f"{backend.name} needs the package {module}, which is not installed. "
            f"Run: pip install '{backend.requirement}'"
        )
    return backend.address(url).set(drivername=f"{backend.name}+{driver}"), backend


def shown_url(url: URL) -> str:
    """The URL as its user wrote it, without the driver, the options and the password."""
    plain = url.set(drivername=url.get_backend_name(), query={})
    return plain.render_as_string(hide_password=True)
