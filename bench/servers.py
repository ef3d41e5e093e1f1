"""Where it is measured: on private servers, each measurement in a new, empty database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import TypeAlias

from bench.database import NewDatabase
from bench.mariadb import mariadb
from bench.postgres import postgres
from bench.sqlite import sqlite

#: A block in which there is a server.
Server: TypeAlias = Callable[[], AbstractContextManager[NewDatabase]]

#: By the names of bench.database.PRODUCTS.
SERVERS: Mapping[str, Server] = MappingProxyType(
    {"sqlite": sqlite, "postgres": postgres, "mysql": mariadb}
)
