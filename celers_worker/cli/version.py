"""``celers --version``; with ``--verbose`` all that a bug report needs, and no secret."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import click

from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import printable
from celers_worker.core.errors import CelersError
from celers_worker.version import __version__

_LIBRARIES = (
    "sqlalchemy",
    "alembic",
    "asyncpg",
    "psycopg",
    "asyncmy",
    "pymysql",
    "msgspec",
    "click",
    "structlog",
    "prometheus-client",
    "uvloop",
    "cronsim",
    "textual",
    "opentelemetry-api",
)
#: Nobody waits longer for a version, in seconds.
_PATIENCE = timedelta(seconds=3)


def show(invocation: Invocation, *, verbose: bool) -> None:
    """Print the version, and what is around it."""
    click.echo(f"celers {__version__} (Python {sys.version.split()[0]})")
    if verbose:
        for title, text in _facts(invocation):
            click.echo(f"{title:<14}  {printable(text)}")


def _facts(invocation: Invocation) -> Iterator[tuple[str, str]]:
    yield "python", f"{platform.python_implementation()} {sys.version.split()[0]}, {sys.executable}"
    yield "platform", platform.platform()
    for name in _LIBRARIES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"
    # Their names only: what they hold may be secret.
    names = sorted(name for name in os.environ if name.startswith("CELERS_"))
    yield "environment", ", ".join(names) or "no CELERS_ variable"
    yield "configuration", _configuration(invocation)
    yield "database", _database(invocation)


def _configuration(invocation: Invocation) -> str:
    try:
        loaded = invocation.load_config()
    except CelersError as error:
        return f"cannot be read: {str(error).splitlines()[0]}"
    sources = sorted({row.source for row in loaded.rows()} - {"default"})
    return ", ".join(sources) or "defaults only"


def _database(invocation: Invocation) -> str:
    from msgspec.structs import replace

    from celers_worker.store import server

    try:
        config = invocation.config()
        quick = replace(config.database, connect_timeout=_PATIENCE, call_timeout=_PATIENCE)
        with invocation.closed_store(replace(config, database=quick)) as store:
            if store.file is not None and not store.file.exists():
                return f"{store.name}, which does not exist yet"
            found = store.run(lambda transaction: server.server_of(transaction.connection))
            revision = store.run(lambda one: server.schema_revision(one.connection))
            return f"{found} at {store.name}, tables at {revision or 'no'} revision"
    except CelersError as error:
        return f"not reached: {str(error).splitlines()[0]}"
