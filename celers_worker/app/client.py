"""Client: the stores of an application, opened when they are first needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import structs

from celers_worker.config import Config, load_config
from celers_worker.core.events import Events, TasksEnqueued
from celers_worker.core.handler import Handler
from celers_worker.core.task import Enqueued, NewTask
from celers_worker.store import (
    DirectStore,
    Store,
    StoreOptions,
    make_direct_store,
    make_store,
    shared,
)


class Client:
    """One asynchronous store for each event loop, and one for everything without a loop."""

    def __init__(
        self,
        url: str | None,
        config: Callable[[], Config] | None = None,
        *,
        engine: Any = None,
        sync_engine: Any = None,
    ) -> None:
        """*url* wins over the configuration, which is read when a store is first needed.

        *engine* and *sync_engine* are the application's own, and their URL is one too.
        """
        self._engine = shared.asynchronous_engine(engine)
        self._sync_engine = shared.synchronous_engine(sync_engine)
        self._shared_url = shared.url_of_either(self._engine, self._sync_engine)
        self._url = url or self._shared_url
        self._read_config = config or (lambda: load_config().config)
        self._config: Config | None = None
        self._stores: WeakKeyDictionary[asyncio.AbstractEventLoop, Store] = WeakKeyDictionary()
        self._opening: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )
        self._direct: DirectStore | None = None
        self.events = Events()
        """Told of what this application enqueues; a worker puts its own here."""
        self._lock = threading.Lock()

    @property
    def config(self) -> Config:
        """The configuration that applies to this application."""
        if self._config is None:
            self._config = self._read_config()
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        if config.database.url != self._shared_url:
            self._engine = self._sync_engine = None
        self._config = config
        self._url = None

    def with_own_url(self, config: Config) -> Config:
        """*config*, with the URL that the application names in its code, if it does.

        A worker and its producers must agree; only the flag ``--database`` says otherwise.
        """
        if self._url is None:
            return config
        database = structs.replace(config.database, url=self._url)
        return structs.replace(config, database=database)

    @property
    def url(self) -> str:
        """The database's URL."""
        return self._url or self.config.database.url

    @property
    def options(self) -> StoreOptions:
        """How stores treat the database."""
        settings = self.config.database
        return StoreOptions(
            connect_timeout=settings.connect_timeout,
            call_timeout=settings.call_timeout,
            pool_size=settings.pool_size,
            poll_backoff=self.config.worker.poll_backoff,
            keep_completed=self.config.retention.completed > timedelta(0),
        )

    def configured(self, handler: Handler) -> Handler:
        """*handler* with what ``[handlers.NAME]`` of the configuration sets."""
        settings = self.config.handlers.get(handler.name)
        if settings is None:
            return handler
        retries = settings.max_retries
        return replace(
            handler,
            concurrency=settings.concurrency or handler.concurrency,
            timeout=settings.timeout or handler.timeout,
            max_retries=handler.max_retries if retries is None else retries,
        )

    async def store(self) -> Store:
        """The store of the running loop. Raises StoreError or SchemaError when it cannot open."""
        loop = asyncio.get_running_loop()
        store = self._stores.get(loop)
        if store is None:
            async with self._opening.setdefault(loop, asyncio.Lock()):
                store = self._stores.get(loop)
                if store is None:
                    store = self._make_store()
                    await store.open()
                    self._stores[loop] = store
        return store

    def direct(self) -> DirectStore:
        """The store for callers without a loop. Raises like ``store``."""
        with self._lock:
            if self._direct is None:
                direct = self._make_direct_store()
                direct.open()
                self._direct = direct
            return self._direct

    async def enqueue(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """Add tasks."""
        store = await self.store()
        began = time.perf_counter()
        added = await store.enqueue(tasks)
        self._tell(tasks, began)
        return added

    def enqueue_sync(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """Add tasks without an event loop."""
        store = self.direct()
        began = time.perf_counter()
        added = store.enqueue(tasks)
        self._tell(tasks, began)
        return added

    def _make_store(self) -> Store:
        if self._engine is not None:
            return shared.SharedStore(self._engine, self.options)
        return make_store(self.url, self.options)

    def _make_direct_store(self) -> DirectStore:
        if self._sync_engine is not None:
            return shared.SharedDirectStore(self._sync_engine, self.options)
        return make_direct_store(self.url, self.options)

    def _tell(self, tasks: Sequence[NewTask], began: float) -> None:
        if self.events.wants(TasksEnqueued):
            counts = Counter((task.queue, task.name) for task in tasks)
            self.events.emit(TasksEnqueued(counts, time.perf_counter() - began))

    async def close(self) -> None:
        """Close the store of the running loop, and the one without a loop."""
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.close()
        self.close_sync()

    def close_sync(self) -> None:
        """Close the store without a loop."""
        with self._lock:
            if self._direct is not None:
                self._direct.close()
                self._direct = None
