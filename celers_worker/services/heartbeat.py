"""Heartbeat: renews this worker's lease, learns of lost leases and of tasks to cancel."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from datetime import timedelta

from celers_worker.core.errors import Unavailable
from celers_worker.core.events import Events, WorkerRegistered
from celers_worker.core.orders import WorkerState
from celers_worker.services.circuits import Circuits
from celers_worker.services.control import Control
from celers_worker.services.identity import Identity
from celers_worker.services.run_logs import RunLogs
from celers_worker.services.runner import Runner
from celers_worker.services.service import Service
from celers_worker.store import Store, maintenance
from celers_worker.store.maintenance import WorkerCard


class Heartbeat(Service):
    """One row a worker, however many tasks it runs.

    A worker that cannot renew stops its tasks before its lease ends, by its own monotonic clock,
    which counts from before the renewal was sent: another worker never starts what still runs here.
    """

    name = "heartbeat"

    def __init__(
        self,
        events: Events,
        store: Store,
        identity: Identity,
        runner: Runner,
        logs: RunLogs,
        card: WorkerCard,
        control: Control,
        circuits: Circuits,
        *,
        interval: float,
        lease: timedelta,
    ) -> None:
        super().__init__(events, interval=interval)
        self._store = store
        self._identity = identity
        self._runner = runner
        self._logs = logs
        self._card = card
        self._control = control
        self._circuits = circuits
        circuits.on_news(self.wake)
        self._lease = lease
        #: Before the lease ends, runs get this long to come to an end.
        self._margin = min(lease.total_seconds() / 6, 5.0)
        self._renewed = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.latency: float | None = None
        """How long the database took to answer the last beat, in seconds."""

    @property
    def holds_lease(self) -> bool:
        """Whether the lease is safely ours for now."""
        return self.lease_left > 0

    @property
    def lease_left(self) -> float:
        """Seconds until runs have to be stopped."""
        return self._renewed + self._lease.total_seconds() - self._margin - time.monotonic()

    async def start(self) -> None:
        """Register the worker, read what is held, then keep it registered. Raises Refused.

        If the database is away, which it was not a moment ago, the first tick that reaches it finds
        no lease and registers; until then nothing is claimed.
        """
        with contextlib.suppress(Unavailable):
            await self._register()
            await self.tick()  # before the poller's first claim
        await super().start()

    async def stop(self) -> None:
        """End the loop and remove the worker's row."""
        await super().stop()
        if self._alarm is not None:
            self._alarm.cancel()
        await self._logs.write()
        await self._store.run(maintenance.deregister, self._identity.id)

    async def tick(self) -> bool:
        """Renew, do what was asked, then compare what the database says with what runs here."""
        sent = time.monotonic()
        orders = await self._store.run(
            maintenance.renew,
            self._identity.id,
            self._lease,
            running=self._runner.running,
            state=self._control.state.value,
        )
        self.latency = time.monotonic() - sent
        if orders is None:
            self._runner.lose(self._runner.runs, "the worker's lease ran out")
            await self._register()
            return False
        self._extend(sent)
        if self._control.obey(orders):
            self.wake()  # so that its row says so at once
        self._circuits.obey(orders.holds)
        await self.check()
        await self._circuits.write()
        await self._publish()
        await self._logs.write()
        self._control.look()
        return False

    def pause(self) -> float:
        """Shorter while it drains, and until a task of a handler that is held may be tried."""
        drains = self._control.state is WorkerState.DRAINING
        return min(self.interval, self._circuits.next_probe, 0.5 if drains else self.interval)

    async def check(self) -> None:
        """Stop the runs whose leases are lost, and those that a person cancelled."""
        running = {task_id: run.task.lease for task_id, run in self._runner.runs.items()}
        if not running:
            return
        found = await self._store.run(maintenance.leases, running)
        lost = []
        for task_id, lease in running.items():
            row = found.get(task_id)
            run = self._runner.runs.get(task_id)
            if run is None or run.settled:
                continue  # it ended while we asked
            if row is None or row.lease != lease:
                lost.append(task_id)
            elif row.cancel_reason is not None:
                self._runner.cancel(task_id, row.cancel_reason)
        self._runner.lose(lost, "another worker has taken them over")

    async def _register(self) -> None:
        """Appear under a new id: a lease that ran out is never renewed."""
        self._identity.change()
        sent = time.monotonic()
        self._card = replace(
            self._card,
            id=self._identity.id,
            concurrency=self._control.concurrency,
            limits=self._control.limits,
            state=self._control.state.value,
            orders=self._control.orders,
        )
        await self._store.run(maintenance.register, self._card, self._lease)
        self._extend(sent)
        self.events.emit(WorkerRegistered(self._identity.id))

    async def _publish(self) -> None:
        """Say in the row what an order, or another configuration, has made of the limits."""
        card = replace(
            self._card, concurrency=self._control.concurrency, limits=self._control.limits
        )
        if card != self._card:
            await self._store.run(maintenance.publish, card)
            self._card = card

    def _extend(self, sent: float) -> None:
        self._renewed = sent
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(max(self.lease_left, 0), self._overdue)

    def extended(self, sent: float) -> None:
        """Learn that somebody else has renewed the lease; safe from another thread."""
        self._renewed = max(self._renewed, sent)

    def _overdue(self) -> None:
        if self.holds_lease:  # the watchdog renewed it while the loop was blocked
            self._extend(self._renewed)
            return
        self._runner.lose(self._runner.runs, "the lease could not be renewed in time")
