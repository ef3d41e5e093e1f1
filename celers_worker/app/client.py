"""Client: the stores of an application, opened when they are first needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import structs

from celers_worker.app.configured import with_settings
from celers_worker.app.transactional import (
    enqueue_in,
    enqueue_in_sync,
    enqueue_workflow_in,
    enqueue_workflow_in_sync,
)
from celers_worker.app.waiting import Waiting
from celers_worker.config import Config, load_config
from celers_worker.config.url import anchored_url
from celers_worker.core.errors import CelersError, Unavailable
from celers_worker.core.events import Events, TasksEnqueued
from celers_worker.core.handler import Handler
from celers_worker.core.middleware import (
    Enqueuing,
    Middleware,
    enqueuing,
    preparing,
    unsurrounded,
)
from celers_worker.core.options import Options
from celers_worker.core.registry import Registry
from celers_worker.core.routing import Route, Routes
from celers_worker.core.task import Enqueued, NewTask
from celers_worker.core.workflow import NewWorkflow
from celers_worker.store import (
    DirectStore,
    Store,
    StoreOptions,
    make_direct_store,
    make_store,
    shared,
)
from celers_worker.store.workflow import enqueueing


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
        self._waitings: WeakKeyDictionary[asyncio.AbstractEventLoop, Waiting] = WeakKeyDictionary()
        self._configured: dict[str, tuple[Handler, Handler]] = {}
        self._direct: DirectStore | None = None
        self._prepare: Callable[[Sequence[NewTask]], Sequence[NewTask]] | None = None
        self._around: Enqueuing = unsurrounded
        self.registry = Registry()
        """The handlers of the application: what it declares tells how to read its results."""
        self.events = Events()
        """Told of what this application enqueues; a worker puts its own here."""
        self._sealed: str | None = None
        self._lock = threading.Lock()
        self._own_routes: list[Route] = []
        self._own_capacities: dict[str, int] = {}
        self._routes: Routes | None = None
        self._capacities: dict[str, int] | None = None

    @property
    def routes(self) -> Routes:
        """Which queue tasks go to: the rules of the configuration, then those in code."""
        if self._routes is None:
            configured = (Route(name, rule.queue) for name, rule in self.config.routes.items())
            self._routes = Routes(tuple(configured)).before(self._own_routes)
        return self._routes

    def add_route(self, route: Route) -> None:
        """Add a rule after the others."""
        self._own_routes.append(route)
        self._routes = None
        self._configured.clear()

    @property
    def capacities(self) -> dict[str, int]:
        """How many tasks may wait in a queue; the configuration goes before the code."""
        if self._capacities is None:
            self._capacities = self._own_capacities | self.config.capacities
        return self._capacities

    def add_capacity(self, queue: str, capacity: int) -> None:
        """Bound how many tasks may wait in *queue*, unless the configuration does."""
        self._own_capacities[queue] = capacity
        self._capacities = None

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
            # A handler may change the directory, and what it enqueues then should be found.
            if (url := anchored_url(config.database.url)) != config.database.url:
                config = structs.replace(config, database=structs.replace(config.database, url=url))
        self._config = config
        self._configured.clear()
        self._url = None
        self._routes = self._capacities = None

    def with_own_url(self, config: Config) -> Config:
        """*config*, with the URL that the application names in its code, if it does.

        A worker and its producers must agree; only the flag ``--database`` says otherwise.
        """
        if self._url is None:
            return config
        database = structs.replace(config.database, url=self._url)
        return structs.replace(config, database=database)

    @property
    def own_config(self) -> Config:
        """The configuration, with the URL that the application names in its code, if it does."""
        return self.with_own_url(self.config)

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
            pooled=settings.pooler == "transaction",
            poll_backoff=self.config.worker.poll_backoff,
            keep_completed=self.config.keeps_completed,
        )

    def configured(self, handler: Handler) -> Handler:
        """*handler* with what the configuration sets for it, and the queue of its route."""
        known = self._configured.get(handler.name)
        if known is None or known[0] is not handler:
            known = self._configured[handler.name] = (
                handler,
                with_settings(handler, self.config, self.routes),
            )
        return known[1]

    def routed(self, name: str, options: Options) -> Options:
        """*options* with the queue of a route for *name*, for a task whose handler is elsewhere."""
        queue = self.routes.queue_of(name)
        return options if queue is None else options.over(Options(queue=queue))

    def seal(self, reason: str) -> None:
        """From now on refuse to open a store, for *reason*: there is no database here."""
        self._sealed = reason

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

    async def waiting(self) -> Waiting:
        """What waits for tasks in the running loop. Raises like ``store``."""
        store = await self.store()
        return self._waitings.setdefault(asyncio.get_running_loop(), Waiting(store))

    def direct(self) -> DirectStore:
        """The store for callers without a loop. Raises like ``store``."""
        with self._lock:
            if self._direct is None:
                direct = self._make_direct_store()
                direct.open()
                self._direct = direct
            return self._direct

    def surround(self, middleware: Sequence[Middleware]) -> None:
        """Put *middleware* around every enqueue."""
        self._prepare, self._around = preparing(middleware), enqueuing(middleware)

    async def enqueue(self, tasks: Sequence[NewTask], session: Any = None) -> list[Enqueued]:
        """Add tasks, with *session* in its transaction."""
        if self._prepare is not None:
            tasks = self._prepare(tasks)
        if session is not None:
            with self._around(tasks):
                return await enqueue_in(session, tasks, self.capacities)
        store = await self.store()
        began = time.perf_counter()
        with self._around(tasks):
            added = await store.enqueue(tasks, capacities=self.capacities)
        self._tell(tasks, began)
        return added

    def enqueue_sync(self, tasks: Sequence[NewTask], session: Any = None) -> list[Enqueued]:
        """Add tasks without an event loop."""
        if self._prepare is not None:
            tasks = self._prepare(tasks)
        if session is not None:
            with self._around(tasks):
                return enqueue_in_sync(session, tasks, self.capacities)
        store = self.direct()
        began = time.perf_counter()
        with self._around(tasks):
            added = store.enqueue(tasks, capacities=self.capacities)
        self._tell(tasks, began)
        return added

    async def enqueue_workflow(self, new: NewWorkflow, session: Any = None) -> None:
        """Add a workflow; when the answer is lost it asks again, and nothing is added twice."""
        new = self._prepared(new)
        if session is not None:
            with self._around(new.steps):
                await enqueue_workflow_in(session, new)
            return
        store = await self.store()
        began = time.perf_counter()
        with self._around(new.steps):
            try:
                await store.run(enqueueing.enqueue, new)
            except Unavailable:
                await store.run(enqueueing.enqueue, new, repeated=True)
        self._tell(new.steps, began)

    def enqueue_workflow_sync(self, new: NewWorkflow, session: Any = None) -> None:
        """``enqueue_workflow`` without an event loop."""
        new = self._prepared(new)
        if session is not None:
            with self._around(new.steps):
                enqueue_workflow_in_sync(session, new)
            return
        store = self.direct()
        began = time.perf_counter()
        with self._around(new.steps):
            try:
                store.run(enqueueing.enqueue, new)
            except Unavailable:
                store.run(enqueueing.enqueue, new, repeated=True)
        self._tell(new.steps, began)

    def _prepared(self, new: NewWorkflow) -> NewWorkflow:
        """*new* with what middleware makes of its steps; who they are is not theirs to change."""
        if self._prepare is None:
            return new
        steps = self._prepare(new.steps)
        if [step.id for step in steps] != [step.id for step in new.steps]:
            raise ValueError("a before_enqueue gave a step of a workflow another id: keep task.id.")
        prepared = replace(new, steps=steps)
        prepared.check()
        return prepared

    def _make_store(self) -> Store:
        self._check_seal()
        if self._engine is not None:
            return shared.SharedStore(self._engine, self.options)
        return make_store(self.url, self.options)

    def _make_direct_store(self) -> DirectStore:
        self._check_seal()
        if self._sync_engine is not None:
            return shared.SharedDirectStore(self._sync_engine, self.options)
        return make_direct_store(self.url, self.options)

    def _check_seal(self) -> None:
        if self._sealed is not None:
            raise CelersError(self._sealed)

    def _tell(self, tasks: Sequence[NewTask], began: float) -> None:
        if self.events.wants(TasksEnqueued):
            counts = Counter((task.queue, task.name) for task in tasks)
            self.events.emit(TasksEnqueued(counts, time.perf_counter() - began))

    async def close(self) -> None:
        """Close the store of the running loop, and the one without a loop."""
        await self.close_loop()
        self.close_sync()

    async def close_loop(self) -> None:
        """Close the store of the running loop only: threads may use the other."""
        waiting = self._waitings.pop(asyncio.get_running_loop(), None)
        if waiting is not None:
            await waiting.close()
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.close()

    def close_sync(self) -> None:
        """Close the store without a loop."""
        with self._lock:
            if self._direct is not None:
                self._direct.close()
                self._direct = None
