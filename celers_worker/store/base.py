"""The asynchronous store: runs transactions on an engine, with a deadline, again after a conflict.

Everything here works on every database. A subclass overrides ``enqueue``, ``claim``, ``settle`` or
``wakeups`` where its database has a faster way to the same end.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy import URL, Engine, QueuePool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from celers_worker.core.errors import Unavailable
from celers_worker.core.outcome import Release, Retry, Settlement
from celers_worker.core.pulse import Pool
from celers_worker.core.task import Demand, Enqueued, NewTask, Task
from celers_worker.store import server
from celers_worker.store.deadline import bounded
from celers_worker.store.ended import EndedHints
from celers_worker.store.errors import (
    Fault,
    fault_of,
    leave_servers_that_take_no_writes,
    raise_translated,
)
from celers_worker.store.levels import Levels
from celers_worker.store.pacing import Pacing
from celers_worker.store.transaction import Transaction
from celers_worker.store.urls import shown_url
from celers_worker.store.values import CHUNK, chunks

P = ParamSpec("P")
R = TypeVar("R")

#: Whoever listens for wake-ups hears something at least so often, in seconds.
SILENCE = 30.0
#: How often a transaction is tried when it conflicts with another.
TRIES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store treats its database; durations are client-side deadlines."""

    connect_timeout: timedelta = timedelta(seconds=5)
    call_timeout: timedelta = timedelta(seconds=10)
    pool_size: int = 5
    poll_backoff: timedelta = timedelta(0)
    """Where the database does not tell, an idle worker's looks grow apart up to this."""
    keep_completed: bool = True
    """Whether a settled task that completed goes to the archive, or nowhere."""
    pooled: bool = False
    """Whether a pooler in transaction mode stands before the database."""


@dataclass(frozen=True, slots=True)
class Wakeup:
    """A hint: tasks were enqueued, or (``control``) a person asked running ones for something.

    Without *tasks* it is only a sign of life, which comes at least every SILENCE seconds.
    """

    control: bool = False
    tasks: bool = True


@dataclass(frozen=True, slots=True)
class UpkeepDue:
    """Whether there may be lost workers, workflows that run, schedules, and frozen sessions."""

    lost_workers: bool = True
    workflows: bool = True
    schedules: bool = True
    frozen_sessions: bool = False


class Store:
    """Tasks in a SQL database. One for each event loop."""

    transaction: type[Transaction] = Transaction
    #: Connections of the pool that are kept for one purpose each, besides ``pool_size``.
    held: ClassVar[int] = 0

    def __init__(self, url: URL, options: StoreOptions) -> None:
        self.url = url
        self.options = options
        self.levels = Levels()
        self.pacing = Pacing(options.poll_backoff.total_seconds())
        self.server: server.Server | None = None
        self.sign_of_pooler: str | None = None
        """What told, when it was opened, of a pooler that nobody has configured."""
        self._engine: AsyncEngine | None = None

    @property
    def name(self) -> str:
        """The database as messages call it, without its password."""
        return shown_url(self.url)

    @property
    def pool(self) -> Pool | None:
        """The connections that are open and in use; None where there is no pool."""
        pool = None if self._engine is None else self._engine.pool
        if not isinstance(pool, QueuePool):
            return None
        in_use = pool.checkedout()
        return Pool(in_use + pool.checkedin(), in_use, pool.size())

    # --- from opening to closing ---

    async def open(self) -> None:
        """Connect once and check the server's version and the tables.

        Raises Unavailable, Refused (too old) or SchemaError (says which command to run).
        """
        self.server = await self.run(lambda transaction: server.server_of(transaction.connection))
        server.check_server(self.server)
        await self.run(lambda transaction: server.check_schema(transaction.connection))

    async def close(self) -> None:
        """Close every connection, within the connect timeout."""
        if self._engine is not None:
            seconds = self.options.connect_timeout.total_seconds()
            with suppress(Unavailable):  # what cannot be closed in time, the server cleans up
                await bounded(self._engine.dispose(), seconds, abandon=lambda: None)
            self._engine = None

    async def run(
        self,
        operation: Callable[Concatenate[Transaction, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run *operation* in a transaction of its own and return what it returns.

        It is repeated when it conflicts with another transaction, so it must not have effects
        outside the database. Raises Unavailable when the database does not answer within
        ``call_timeout``; then it may or may not have been committed.
        """
        for attempt in range(1, TRIES + 1):
            cord = RipCord()
            try:
                return await bounded(
                    self._transact(cord, operation, args, kwargs),
                    self.options.call_timeout.total_seconds(),
                    abandon=cord.pull,
                )
            except Exception as error:  # translated, unless it is tried again
                if fault_of(error) is not Fault.CONFLICT or attempt == TRIES:
                    raise_translated(error, self.name)
            await asyncio.sleep(random.uniform(0.0, 0.01 * 2**attempt))
        raise AssertionError("the last try returns or raises")

    # --- in the order of a task's life ---

    async def enqueue(
        self, tasks: Sequence[NewTask], *, capacities: Mapping[str, int] | None = None
    ) -> list[Enqueued]:
        """Add *tasks*; those whose unique key is taken are left out, and who has it is named.

        When an answer is lost it asks again: the ids are the client's, so nothing is added twice.
        Tasks beyond a thousand go in several transactions. Raises QueueFull, by *capacities* of
        queues, or UniqueKeyTaken; then nothing of that thousand was added.
        """
        added: list[Enqueued] = []
        for chunk in chunks(tasks, CHUNK):
            try:
                if capacities and any(task.queue in capacities for task in chunk):
                    added += await self.run(self.transaction.enqueue, chunk, capacities=capacities)
                else:
                    added += await self._enqueue(chunk)
            except Unavailable:
                added += await self.run(
                    self.transaction.enqueue, chunk, repeated=True, capacities=capacities
                )
        return added

    async def claim(self, worker: str, demand: Demand) -> list[Task]:
        """Lease due tasks to *worker*, no more than *demand* says, in the order of their start."""
        claimed = await self.run(self.transaction.claim, worker, demand, self.levels)
        if claimed:
            self.pacing.came()
        return claimed

    async def settle(self, worker: str, settlements: Sequence[Settlement]) -> set[UUID]:
        """Write outcomes of leases still held, and return their ids; the others change nothing."""
        keep = self.options.keep_completed
        settled = await self.run(self.transaction.settle, worker, settlements, keep_completed=keep)
        for one in settlements:
            if isinstance(one.outcome, Retry | Release) and one.outcome.delay is not None:
                self.levels.expect(one.outcome.delay.total_seconds())
        return settled

    async def upkeep_due(self, *, within: float = 0.0) -> UpkeepDue:
        """What there may be to do besides tasks; all of it where to ask costs as much as to do it.

        *within*: an answer may be so many seconds old.
        """
        return UpkeepDue()

    async def end_frozen_sessions(self) -> int:
        """End sessions of clients that froze with locks in their hands; return how many.

        Only those that the server itself would never end.
        """
        return 0

    def on_announced(self, callback: Callable[[], None]) -> None:
        """Call *callback* for hints of new tasks while ``wakeups`` is awaited, if that is sooner.

        Where it is not, ``wakeups`` yields them as ever.
        """

    async def wakeups(self) -> AsyncGenerator[Wakeup, None]:
        """Yield when there may be something to claim. Where nothing tells, time does."""
        while True:
            await asyncio.sleep(self.pacing.pause(self.poll_pause))
            yield Wakeup()

    def ended_hints(self) -> EndedHints:
        """What tells who waits for results that tasks have ended; not connected yet."""
        return EndedHints()

    # --- inside ---

    @property
    def poll_pause(self) -> float:
        """Where no notification comes, a worker looks for tasks this often, in seconds."""
        return 0.04

    async def _enqueue(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        return await self.run(self.transaction.enqueue, tasks)

    @property
    def _engine_url(self) -> URL:
        """The URL without what goes to the driver as arguments."""
        return self.url

    def _connect_arguments(self) -> dict[str, Any]:
        """The driver's own arguments for a connection."""
        return {}

    def _engine_options(self) -> dict[str, Any]:
        """The engine's options for this database."""
        return {}

    @property
    def engine(self) -> AsyncEngine:
        """The engine, made when it is first needed."""
        if self._engine is None:
            self._engine = self._new_engine(self.options.pool_size + self.held)
        return self._engine

    @property
    def handler_sessions(self) -> int:
        """How many transactions of handlers may be open at once."""
        return self.options.pool_size

    def engine_for_handlers(self) -> AsyncEngine:
        """A new engine for the transactions of handlers, which the caller disposes of."""
        return self._new_engine(self.options.pool_size)

    def sync_engine_for_handlers(self) -> Engine:
        """The same for handlers in threads."""
        from celers_worker.store import make_direct_store  # which imports this module

        url = self.url.render_as_string(hide_password=False)
        return make_direct_store(url, self.options).engine

    def _new_engine(self, pool_size: int) -> AsyncEngine:
        engine = create_async_engine(
            self._engine_url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=self.options.call_timeout.total_seconds(),
            # Without the password in the tracebacks of users, and without their payloads.
            hide_parameters=True,
            connect_args=self._connect_arguments(),
            **self._engine_options(),
        )
        leave_servers_that_take_no_writes(engine.sync_engine)
        return engine

    async def _transact(
        self,
        cord: RipCord,
        operation: Callable[..., R],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> R:
        async with self.engine.connect() as connection:
            await cord.attach(connection)
            async with connection.begin():
                return await connection.run_sync(
                    lambda synchronous: operation(self.transaction(synchronous), *args, **kwargs)
                )


class RipCord:
    """Cuts a connection whose server does not answer, without asking the server."""

    def __init__(self) -> None:
        self._raw: Any = None

    async def attach(self, connection: AsyncConnection) -> None:
        """Take hold of *connection*."""
        self._raw = (await connection.get_raw_connection()).driver_connection

    def pull(self) -> None:
        """Cut it."""
        # asyncpg has terminate, psycopg libpq's finish; asyncmy's close only closes the socket.
        libpq = getattr(self._raw, "pgconn", None)
        cut = (
            getattr(libpq, "finish", None)
            or getattr(self._raw, "terminate", None)
            or getattr(self._raw, "close", None)
        )
        if cut is not None and not inspect.iscoroutinefunction(cut):
            cut()
