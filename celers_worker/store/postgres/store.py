"""PostgreSQL: the hot path on raw asyncpg, one round trip for a batch, and LISTEN.

The statements stay SQLAlchemy Core, compiled once to asyncpg's ``$n`` text, with arrays for
batches. The connections come from SQLAlchemy's own pool and are held, each with its own deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import URL

from celers_worker.core.errors import Unavailable
from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import Demand, Enqueued, NewTask, Task
from celers_worker.store.base import Store, StoreOptions, Wakeup
from celers_worker.store.deadline import bounded
from celers_worker.store.errors import raise_translated
from celers_worker.store.postgres import statements as fast
from celers_worker.store.postgres.held import Compiled, HeldConnection
from celers_worker.store.postgres.transaction import (
    CONTROL_CHANNEL,
    TASKS_CHANNEL,
    PostgresTransaction,
)
from celers_worker.store.sweeps import UNADOPTED

#: The claim must walk its index in order: a bitmap or sequential scan never cleans dead entries,
#: and each claim would cost more than the last. JIT would compile what runs for a millisecond.
_WALK_THE_INDEX = {
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "jit": "off",
}

CLAIM = Compiled(fast.claim(limited=False))
CLAIM_LIMITED = Compiled(fast.claim(limited=True))
COMPLETE = Compiled(fast.complete(with_results=False))
COMPLETE_WITH_RESULTS = Compiled(fast.complete(with_results=True))
ENQUEUE = Compiled(fast.ENQUEUE)
SWEEP = Compiled(fast.sweep())
SWEEP_ALL = Compiled(fast.SWEEP_ALL)


class PostgresStore(Store):
    """The store on PostgreSQL."""

    transaction = PostgresTransaction

    def __init__(self, url: URL, options: StoreOptions) -> None:
        super().__init__(url, options)
        # Three that never wait for each other: a long settle must not hold up a claim.
        self._claims = self._hold(_WALK_THE_INDEX)
        self._settles = self._hold()
        self._enqueues = self._hold()

    async def close(self) -> None:
        """Give the held connections back and close the pool."""
        for held in (self._claims, self._settles, self._enqueues):
            await held.close()
        await super().close()

    async def claim(self, worker: str, demand: Demand) -> list[Task]:
        """One statement for all levels of all queues."""
        if self.levels.stale(demand):
            self.levels.learn(await self._sweep(demand))
        asked = self.levels.due(demand)
        if not asked:
            return []
        values: dict[str, Any] = {
            "queues": [level.queue for level in asked],
            "priorities": [level.priority for level in asked],
            "marks": [level.mark for level in asked],
            "rooms": [level.room for level in asked],
            "excluded": sorted(demand.excluded),
            "total": demand.total,
            "worker": worker,
        }
        statement = CLAIM
        if limited := {name: room for name, room in demand.handlers.items() if room > 0}:
            statement = CLAIM_LIMITED
            values |= {"limited": list(limited), "limits": list(limited.values())}
        rows = await self._claims.fetch(statement, **values)
        claimed = [Task(*row) for row in rows]
        claimed.sort(key=lambda task: (-task.priority, task.scheduled_at, task.id))
        self.levels.advance(asked, claimed, demand)
        return claimed

    async def settle(self, worker: str, settlements: Sequence[Settlement]) -> set[UUID]:
        """Completions in one statement; the rest, which is rare, as on every database."""
        completed = [one for one in settlements if isinstance(one.outcome, Completed)]
        others = [one for one in settlements if not isinstance(one.outcome, Completed)]
        # First what may be refused, so that a refusal leaves nothing half written.
        settled = await super().settle(worker, others) if others else set()
        if completed:
            settled |= await self._complete(completed)
        return settled

    async def wakeups(self) -> AsyncGenerator[Wakeup, None]:
        """LISTEN on a connection of its own until it breaks, which raises Unavailable."""
        async with self._listening() as (connection, hints):
            yield Wakeup(control=True)  # what came while nobody listened
            while not connection.is_closed():
                try:
                    # Now and then a question, for a connection can die without a word.
                    async with asyncio.timeout(30):
                        control = await hints.wait()
                except TimeoutError:
                    await bounded(
                        connection.execute("SELECT 1"),
                        self.options.call_timeout.total_seconds(),
                        abandon=connection.terminate,
                    )
                else:
                    yield Wakeup(control=control)
            raise Unavailable(f"{self.name} ended the connection that listens.")

    # --- inside ---

    def _hold(self, settings: dict[str, str] | None = None) -> HeldConnection:
        return HeldConnection(
            lambda: self.engine,
            name=self.name,
            deadline=self.options.call_timeout.total_seconds(),
            settings=settings,
        )

    async def _enqueue(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """Plain tasks by one statement with arrays; keyed ones take the portable way."""
        if any(task.unique_key is not None for task in tasks):
            return await super()._enqueue(tasks)
        due_now = sorted({task.queue for task in tasks if not task.delay and task.at is None})
        await self._enqueues.fetch(
            ENQUEUE, **fast.new_arrays(tasks), channel=TASKS_CHANNEL, announced=due_now
        )
        return [Enqueued(task.id) for task in tasks]

    async def _complete(self, settlements: Sequence[Settlement]) -> set[UUID]:
        with_value = [
            (one.task.id, one.outcome.result)
            for one in settlements
            if isinstance(one.outcome, Completed) and one.outcome.result is not None
        ]
        values: dict[str, Any] = {
            "ids": [one.task.id for one in settlements],
            "leases": [one.task.lease for one in settlements],
        }
        statement = COMPLETE
        if with_value:
            statement = COMPLETE_WITH_RESULTS
            values |= {
                "of_tasks": [task_id for task_id, _ in with_value],
                "values": [value for _, value in with_value],
            }
        return {row[0] for row in await self._settles.fetch(statement, **values)}

    async def _sweep(self, demand: Demand) -> list[tuple[str, int, datetime, datetime]]:
        rows = await self._fetch_levels(demand)
        if any(row[0] == UNADOPTED for row in rows):
            return await self.run(self.transaction.sweep, demand)
        return rows

    async def _fetch_levels(self, demand: Demand) -> list[Any]:
        if demand.others is not None:
            return await self._claims.fetch(SWEEP_ALL)
        return await self._claims.fetch(SWEEP, queues=[UNADOPTED, *demand.queues])

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[tuple[Any, _Hints]]:
        hints = _Hints()
        connection = None
        try:
            connection = await bounded(
                asyncpg.connect(self._listen_url()),
                self.options.connect_timeout.total_seconds(),
                abandon=lambda: None,
            )
            connection.add_termination_listener(lambda gone: hints.hear(gone, 0, "", ""))
            await connection.add_listener(TASKS_CHANNEL, hints.hear)
            await connection.add_listener(CONTROL_CHANNEL, hints.hear)
            yield connection, hints
        except Exception as error:
            raise_translated(error, self.name)
        finally:
            if connection is not None:
                connection.terminate()

    def _listen_url(self) -> str:
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def _connect_arguments(self) -> dict[str, Any]:
        call = self.options.call_timeout.total_seconds()
        return {
            "timeout": self.options.connect_timeout.total_seconds(),
            "server_settings": {
                "application_name": "celers",
                # What nobody waits for any more must not be done later, and a worker that froze
                # in a transaction must not keep its locks.
                "statement_timeout": f"{round(call * 1000)}",
                "idle_in_transaction_session_timeout": f"{round(call * 1000)}",
            },
        }


class _Hints:
    """What was heard since it was last asked for: one hint of a kind is as good as a hundred."""

    def __init__(self) -> None:
        self._channels: set[str] = set()
        self._heard = asyncio.Event()

    def hear(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        """Take note of a notification; asyncpg calls it."""
        self._channels.add(channel)
        self._heard.set()

    async def wait(self) -> bool:
        """Wait for a hint, and say whether a person asked for something."""
        await self._heard.wait()
        control = CONTROL_CHANNEL in self._channels
        self._channels.clear()
        self._heard.clear()
        return control
