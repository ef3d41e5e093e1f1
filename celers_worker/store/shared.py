"""Stores on an engine of the application's own: they borrow its connections and close nothing.

They speak as every database understands it. The faster ways of PostgreSQL hold connections for
one purpose each, which a pool that others need has none of to spare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from celers_worker.core.errors import ConfigurationError
from celers_worker.store.backends import backend_of_dialect
from celers_worker.store.base import Store, StoreOptions
from celers_worker.store.direct import DirectStore
from celers_worker.store.transaction import Transaction

P = ParamSpec("P")
R = TypeVar("R")


class SharedStore(Store):
    """The store on an AsyncEngine of the application's own."""

    def __init__(self, engine: AsyncEngine, options: StoreOptions) -> None:
        super().__init__(engine.url, options)
        self.transaction = backend_of_dialect(engine.dialect.name).direct_class.transaction
        isolation = self.transaction.isolation
        # A second face of the same pool.
        self._engine = engine.execution_options(isolation_level=isolation) if isolation else engine

    async def close(self) -> None:
        """Leave the engine to its owner."""

    async def run(
        self,
        operation: Callable[Concatenate[Transaction, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run *operation* in a transaction of its own, as ``Store.run`` does."""
        return await super().run(_joined(operation), *args, **kwargs)


class SharedDirectStore(DirectStore):
    """The synchronous store on an Engine of the application's own."""

    def __init__(self, engine: Engine, options: StoreOptions) -> None:
        self.transaction = backend_of_dialect(engine.dialect.name).direct_class.transaction
        self._shared = engine
        super().__init__(engine.url, options)

    def close(self) -> None:
        """Leave the engine to its owner."""

    def run(
        self,
        operation: Callable[Concatenate[Transaction, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run *operation* in a transaction of its own, as ``DirectStore.run`` does."""
        return super().run(_joined(operation), *args, **kwargs)

    def _make_engine(self) -> Engine:
        isolation = self.transaction.isolation
        if isolation is None:
            return self._shared
        return self._shared.execution_options(isolation_level=isolation)


def asynchronous_engine(engine: Any) -> AsyncEngine | None:
    """*engine* if it can be shared by coroutines. Raises ConfigurationError for what is none."""
    if engine is None or isinstance(engine, AsyncEngine):
        return engine
    hint = " An Engine goes to sync_engine=." if isinstance(engine, Engine) else ""
    raise ConfigurationError(
        f"engine is a {type(engine).__name__}: pass what SQLAlchemy's create_async_engine() "
        f"returned.{hint}"
    )


def synchronous_engine(engine: Any) -> Engine | None:
    """*engine* if callers without an event loop can share it. Raises ConfigurationError."""
    if engine is None or isinstance(engine, Engine):
        return engine
    hint = " An AsyncEngine goes to engine=." if isinstance(engine, AsyncEngine) else ""
    raise ConfigurationError(
        f"sync_engine is a {type(engine).__name__}: pass what SQLAlchemy's create_engine() "
        f"returned.{hint}"
    )


def url_of_either(engine: AsyncEngine | None, sync_engine: Engine | None) -> str | None:
    """The URL of the engines as the configuration has it, with the password; None without any.

    Raises ConfigurationError if they lead to two databases.
    """
    urls = {_url_of(one) for one in (engine, sync_engine) if one is not None}
    if len(urls) > 1:
        raise ConfigurationError("engine and sync_engine lead to two databases: pass two for one.")
    return next(iter(urls), None)


def _url_of(engine: Engine | AsyncEngine) -> str:
    url: URL = engine.url.set(drivername=engine.dialect.name)
    return url.render_as_string(hide_password=False)


def _joined(
    operation: Callable[Concatenate[Transaction, P], R],
) -> Callable[Concatenate[Transaction, P], R]:
    def joined(transaction: Transaction, /, *args: P.args, **kwargs: P.kwargs) -> R:
        transaction.join()
        return operation(transaction, *args, **kwargs)

    return joined
