"""PostgreSQL: the hot path on raw asyncpg, one round trip for a batch, and LISTEN.

The statements stay SQLAlchemy Core, compiled once to asyncpg's ``$n`` text, with arrays for
batches. The connections come from SQLAlchemy's own pool and are held, each with its own deadline.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence, Set
from contextlib import aclosing
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import Demand, Enqueued, NewTask, Task, datetime_of
from celers_worker.store.base import Store, StoreOptions, UpkeepDue, Wakeup
from celers_worker.store.ended import EndedHints
from celers_worker.store.postgres import connecting, enqueueing, hot, pooling, settling
from celers_worker.store.postgres.ended import PostgresEndedHints
from celers_worker.store.postgres.grouping import Grouping
from celers_worker.store.postgres.held import Compiled, HeldConnection
from celers_worker.store.postgres.instants import send_instants_as_numbers
from celers_worker.store.postgres.listening import Listening
from celers_worker.store.postgres.session import settings_of, without_settings
from celers_worker.store.postgres.transaction import (
    TASKS_CHANNEL,
    PostgresTransaction,
)
from celers_worker.store.sweeps import UNADOPTED
from celers_worker.store.tls import tls_of, without_tls

#: One plan for each statement, whatever the statistics say. A claim must walk its index in order:
#: a bitmap or sequential scan never cleans dead entries, and each claim would cost more than the
#: last. A settle of a thousand, planned for their number, reads the whole table. JIT would compile
#: what runs for a millisecond, and to plan anew for each set of arrays takes as long as the claim.
_WALK_THE_INDEX = {
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}

_DUE, _PRIORITY = attrgetter("scheduled", "id"), attrgetter("priority")


class PostgresStore(Store):
    """The store on PostgreSQL."""

    transaction = PostgresTransaction
    held = 3

    def __init__(self, url: URL, options: StoreOptions) -> None:
        super().__init__(url, options)
        self._tls = tls_of(url)
        _ = self._tls.context  # a file that cannot be used is told of now
        # Three that never wait for each other: a long settle must not hold up a claim.
        self._claims = self._hold(
            prepare=send_instants_as_numbers, arrays=("integer", "timestamptz", "varchar")
        )
        self._settles = self._hold(arrays=("uuid", "bigint"))
        self._enqueues = self._hold()
        self._grouping = Grouping(self._add)
        self._upkeep_due, self._asked_at = UpkeepDue(), -math.inf
        self._listening = Listening(without_tls(url), self.name, options, self._tls)

    async def open(self) -> None:
        """Connect and check; also whether our connections are really ours."""
        await super().open()
        if not self.options.pooled:
            self.sign_of_pooler = await self.run(pooling.sign_of_pooler, self.options)

    async def close(self) -> None:
        """Give the held connections back and close the pool."""
        for held in (self._claims, self._settles, self._enqueues):
            await held.close()
        await super().close()

    async def claim(self, worker: str, demand: Demand) -> list[Task]:
        """One statement for all levels of all queues."""
        if not self._settles.connected:  # who claims will settle, and should not wait then
            await self._settles.connect()
        announced = self._listening.take_queues()
        self._listening.served = demand.queues if demand.others is None else None
        if self.levels.stale(demand):
            if claimed := await self._claim_announced(worker, announced, demand):
                return claimed
            began = time.monotonic()
            self.levels.learn(await self._sweep(demand), began=began)
        asked = self.levels.due(demand)
        if not asked:
            return []
        values: dict[str, Any] = {
            "queues": [level.queue for level in asked],
            "priorities": [level.priority for level in asked],
            "marks": [level.mark for level in asked],
            "rooms": [level.room for level in asked],
        }
        statement = hot.CLAIM
        if limited := _limited(demand):
            statement = hot.CLAIM_LIMITED
            values |= {"limited": list(limited), "limits": list(limited.values())}
        claimed = await self._lease(statement, worker, demand, values)
        self.levels.advance(asked, claimed, demand)
        return claimed

    async def settle(self, worker: str, settlements: Sequence[Settlement]) -> set[UUID]:
        """Completions in one statement; the rest, which is rare, as on every database."""
        completed: list[Settlement] = []
        others: list[Settlement] = []
        for one in settlements:
            plain = type(one.outcome) is Completed and not one.task.in_workflow
            (completed if plain else others).append(one)
        # First what may be refused, so that a refusal leaves nothing half written.
        settled = await super().settle(worker, others) if others else set()
        if completed:
            settled |= await self._complete(completed)
        return settled

    async def upkeep_due(self, *, within: float = 0.0) -> UpkeepDue:
        """Ask for all of it in one statement, which a transaction would make three."""
        now = time.monotonic()
        if now - self._asked_at > within:
            [row] = await self._claims.fetch(hot.UPKEEP_DUE, silence=self._silence)
            self._upkeep_due, self._asked_at = UpkeepDue(*row), now
        return self._upkeep_due

    async def end_frozen_sessions(self) -> int:
        """Those that wait for the second half of a statement for longer than a call may take."""
        rows = await self._claims.fetch(hot.END_FROZEN, silence=self._silence)
        return sum(ended for (ended,) in rows)

    async def wakeups(self) -> AsyncGenerator[Wakeup, None]:
        """LISTEN on a connection of its own until it breaks, which raises Unavailable."""
        if self.options.pooled:  # which has no session that could listen: time tells
            async for hint in super().wakeups():
                yield hint
            return
        async with aclosing(self._listening.wakeups()) as hints:
            async for hint in hints:
                if hint.control:
                    self._asked_at = -math.inf  # a person may have added what was not there
                yield hint

    def on_announced(self, callback: Callable[[], None]) -> None:
        """NOTIFY calls *callback*; ``wakeups`` leaves those hints out then."""
        self._listening.on_announced(callback)

    def ended_hints(self) -> EndedHints:
        """NOTIFY tells, on a connection of its own."""
        if self.options.pooled:
            return EndedHints()
        return PostgresEndedHints(without_tls(self.url), self.name, self.options, self._tls)

    # --- inside ---

    def _hold(
        self,
        prepare: Callable[[Any], Awaitable[None]] | None = None,
        arrays: Sequence[str] = (),
    ) -> HeldConnection:
        return HeldConnection(
            lambda: self.engine,
            name=self.name,
            deadline=self.options.call_timeout.total_seconds(),
            settings=_WALK_THE_INDEX,
            prepare=prepare,
            arrays=arrays,
            local=pooling.limits(self.options) if self.options.pooled else None,
        )

    @property
    def _silence(self) -> float:
        """In seconds: who has not gone on with a statement for so long is frozen."""
        return self.options.call_timeout.total_seconds()

    @property
    def poll_pause(self) -> float:
        """Behind a pooler each look is a transaction of several round trips."""
        return 0.1

    async def _enqueue(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """Plain tasks by one statement, also of several callers; keyed ones as elsewhere."""
        if any(task.unique_key is not None for task in tasks):
            return await super()._enqueue(tasks)
        await self._grouping.add(tasks)
        return [Enqueued(task.id) for task in tasks]

    async def _add(self, tasks: Sequence[NewTask]) -> None:
        if len(tasks) == 1:
            statement, values = hot.ENQUEUE_ONE, enqueueing.new_values(tasks[0])
        else:
            differing, values = enqueueing.values_of_many(tasks)
            statement = hot.enqueue_many(differing)
        due_now = sorted({task.queue for task in tasks if not task.delay and task.at is None})
        await self._enqueues.fetch(statement, **values, channel=TASKS_CHANNEL, announced=due_now)

    async def _claim_announced(
        self, worker: str, announced: Set[str], demand: Demand
    ) -> list[Task]:
        """Spare the first claim of an idle worker its sweep; the next claim has it.

        That is: nothing else waits, and no limit but the total bounds what is claimed.
        """
        unbounded = all(demand.room(queue) == demand.total for queue in announced)
        if not announced or not unbounded or not self.levels.exhausted or _limited(demand):
            return []
        return await self._lease(hot.CLAIM_ANNOUNCED, worker, demand, {"queues": sorted(announced)})

    async def _lease(
        self, statement: Compiled, worker: str, demand: Demand, values: dict[str, Any]
    ) -> list[Task]:
        rows = await self._claims.fetch(
            statement,
            worker=worker,
            excluded=sorted(demand.excluded),
            total=demand.total,
            **values,
        )
        claimed = [Task(*row) for row in rows]
        if claimed:
            self.pacing.came()
        claimed.sort(key=_DUE)
        claimed.sort(key=_PRIORITY, reverse=True)
        return claimed

    async def _complete(self, settlements: Sequence[Settlement]) -> set[UUID]:
        with_value = [
            (one.task, one.outcome)
            for one in settlements
            if isinstance(one.outcome, Completed) and one.outcome.result is not None
        ]
        values: dict[str, Any] = {
            "ids": [one.task.id for one in settlements],
            "leases": [one.task.lease for one in settlements],
        }
        keep = self.options.keep_completed
        statement = hot.COMPLETE if keep else hot.DISCARD
        if with_value:
            statement = hot.COMPLETE_WITH_RESULTS if keep else hot.DISCARD_WITH_RESULTS
            values |= settling.result_arrays(with_value)
        [(count, some)] = await self._settles.fetch(statement, expected=len(settlements), **values)
        return set(values["ids"] if count == len(settlements) else some or ())

    async def _sweep(self, demand: Demand) -> list[tuple[str, int, datetime, datetime]]:
        rows = await self._fetch_levels(demand)
        if any(row[0] == UNADOPTED for row in rows):
            return await self.run(self.transaction.sweep, demand)
        return [
            (queue, priority, datetime_of(first_due_at), datetime_of(now))
            for queue, priority, first_due_at, now in rows
        ]

    async def _fetch_levels(self, demand: Demand) -> list[Any]:
        if demand.others is not None:
            return await self._claims.fetch(hot.SWEEP_ALL)
        return await self._claims.fetch(hot.SWEEP, queues=[UNADOPTED, *demand.queues])

    @property
    def _engine_url(self) -> URL:
        return without_settings(without_tls(self.url))

    def _connect_arguments(self) -> dict[str, Any]:
        seconds = self.options.connect_timeout.total_seconds()
        named = {"application_name": "celers", **settings_of(self.url)}
        if self.options.pooled:
            return {"timeout": seconds, "server_settings": named} | pooling.asyncpg_arguments()
        return {
            **connecting.whichever_writes(self.url),
            **self._tls.asyncpg,
            "timeout": seconds,
            "server_settings": {
                # What nobody waits for any more must not be done later, and a worker that froze
                # in a transaction must not keep its locks.
                **pooling.limits(self.options),
                # A plan that was made while the table was empty would read all of it for ever.
                "plan_cache_mode": "force_custom_plan",
                **named,
            },
        }

    def _new_engine(self, pool_size: int) -> AsyncEngine:
        engine = super()._new_engine(pool_size)
        if self.options.pooled:
            pooling.limit(engine.sync_engine, self.options)
        return engine


def _limited(demand: Demand) -> dict[str, int]:
    """The handlers of which some tasks may be claimed, but not any number."""
    return {name: room for name, room in demand.handlers.items() if room > 0}
