"""Claims: the primitives below a worker, for who writes a loop of their own.

    async with app.claims(queues=["emails"], lease="1m") as claims:
        while (claimed := await claims.next()) is not None:
            try:
                await claimed.complete(send(**claimed.arguments()))
            except Exception as error:
                await claimed.fail(error)

A worker does all of this and more: permits, timeouts, shutdown. Write a loop only where the loop
is somebody else's.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self
from uuid import uuid4

from celers_worker.app.client import Client
from celers_worker.core.duration import Duration, parse_duration
from celers_worker.core.errors import ConfigurationError, PayloadError, Unavailable
from celers_worker.core.names import check_queue_name
from celers_worker.core.outcome import (
    Cancelled,
    Dead,
    Outcome,
    Release,
    Settlement,
    failure_of,
    outcome_of_error,
    outcome_of_value,
)
from celers_worker.core.payload import decode_arguments
from celers_worker.core.registry import Registry
from celers_worker.core.retry import RetryPolicy
from celers_worker.core.task import Demand, Task
from celers_worker.store import maintenance
from celers_worker.store.maintenance import WorkerCard
from celers_worker.version import __version__


class Claims:
    """A place among the workers, with a lease, from which tasks are claimed one by one.

    ``async with`` takes the place and leaves it; a task that is not settled then is given back.
    """

    def __init__(
        self,
        client: Client,
        registry: Registry,
        *,
        queues: Iterable[str] | None,
        lease: Duration,
        name: str | None,
    ) -> None:
        self._client = client
        self._registry = registry
        self._queues = None if queues is None else [check_queue_name(one) for one in queues]
        self._lease = parse_duration(lease, name="lease")
        if self._lease <= timedelta(0):
            raise ConfigurationError(f"lease is {lease!r}: it must be longer than nothing.")
        self._name = name or f"{platform.node() or 'claims'}-{os.getpid()}"
        self._id: str | None = None

    async def __aenter__(self) -> Self:
        """Appear among the workers. Raises StoreError."""
        await self._register()
        return self

    async def __aexit__(self, *details: object) -> None:
        """Give back what is not settled, without counting an attempt, and leave."""
        if self._id is not None:
            place, self._id = self._id, None
            with contextlib.suppress(Unavailable):  # then the lease ends by itself
                store = await self._client.store()
                await store.run(maintenance.recover, place, ())
                await store.run(maintenance.deregister, place)

    async def next(self) -> ClaimedTask | None:
        """Lease the next due task, and renew the lease of those claimed before; None: none is due.

        The order is a worker's: priority, then the time it became due. A lease that ran out is
        never renewed: then what was claimed before is lost, and settling it changes nothing.
        """
        if not await self.extend():
            await self._register()
        store = await self._client.store()
        # An empty look of a moment ago must not hide what was enqueued since.
        store.levels.forget()
        claimed = await store.claim(self.worker, self._demand())
        return ClaimedTask(claimed[0], _claims=self) if claimed else None

    async def extend(self) -> bool:
        """Renew the lease of all that is claimed here; False: it has run out already."""
        store = await self._client.store()
        return await store.run(maintenance.renew, self.worker, self._lease) is not None

    @property
    def worker(self) -> str:
        """The id of this place among the workers."""
        if self._id is None:
            raise ConfigurationError("claims are used in a block: async with app.claims() as …")
        return self._id

    # --- inside ---

    async def settle(self, task: Task, outcome: Outcome) -> bool:
        """Write *outcome*; False: the lease was lost, and nothing has changed."""
        store = await self._client.store()
        return task.id in await store.settle(self.worker, [Settlement(task, outcome)])

    async def holds(self, task: Task) -> bool:
        """Whether *task* is leased to this place still, and nobody has asked to cancel it."""
        found = await (await self._client.store()).run(maintenance.leases, [task.id])
        row = found.get(task.id)
        return row is not None and row.lease == task.lease and row.cancel_reason is None

    def policy(self, name: str) -> RetryPolicy:
        """How tasks called *name* are retried: as their handler says, if it is registered here."""
        handler = self._registry.get(name)
        return RetryPolicy() if handler is None else handler.retry

    def _demand(self) -> Demand:
        if self._queues is None:
            return Demand(total=1, others=1)
        return Demand(total=1, queues=dict.fromkeys(self._queues, 1))

    async def _register(self) -> None:
        self._id = str(uuid4())
        card = WorkerCard(
            id=self._id,
            name=self._name,
            host=platform.node(),
            pid=os.getpid(),
            version=__version__,
            queues=sorted(self._queues or ()),
            handlers=sorted(handler.name for handler in self._registry),
            concurrency=1,
        )
        await (await self._client.store()).run(maintenance.register, card, self._lease)


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A task and the lease to run it.

    What ends the run returns False if the lease was lost: then another may run it already, and
    nothing was changed. It raises Unavailable if the database did not answer: say it again, and
    take False for an answer, for the first time may have been heard.
    """

    task: Task
    _claims: Claims = field(kw_only=True, repr=False, compare=False)

    def arguments(self) -> dict[str, Any]:
        """The arguments by name. Raises PayloadError if the payload is no object of them."""
        positional, named = decode_arguments(self.task.payload)
        if positional:
            raise PayloadError(
                f"the payload of {self.task.name!r} has no names for its arguments: read "
                "claimed.task.payload."
            )
        return named

    async def complete(self, result: object = None) -> bool:
        """The task is done; *result* is stored as JSON. One that cannot be stored is its death."""
        return await self._claims.settle(self.task, outcome_of_value(result))

    async def fail(self, error: BaseException) -> bool:
        """The attempt failed: as a worker decides, it is retried later, or dead.

        ``Retry``, ``Snooze``, ``Cancel`` and ``Dead`` mean what they mean in a handler.
        """
        policy = self._claims.policy(self.task.name)
        return await self._claims.settle(self.task, outcome_of_error(self.task, error, policy))

    async def reject(self, reason: str) -> bool:
        """It will never do: to the dead letter queue, whatever attempts are left."""
        failure = failure_of(ValueError(reason))
        return await self._claims.settle(self.task, Dead(reason, failure))

    async def release(self) -> bool:
        """Give it back to its place in the queue; the attempt does not count."""
        return await self._claims.settle(self.task, Release())

    async def snooze(self, after: Duration) -> bool:
        """Give it back for later; the attempt does not count."""
        return await self._claims.settle(self.task, Release(parse_duration(after, name="after")))

    async def cancel(self, reason: str = "cancelled by who ran it") -> bool:
        """End it without a result."""
        return await self._claims.settle(self.task, Cancelled(reason))

    async def extend(self) -> bool:
        """Renew the lease; False: it is lost, or somebody asked to cancel the task: stop."""
        return await self._claims.extend() and await self._claims.holds(self.task)
