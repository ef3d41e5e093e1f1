"""Poller: claims as many tasks as there are permits and hands them to the runner."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from celers_worker.core.errors import Unavailable
from celers_worker.core.events import Events, TasksClaimed, TasksRecovered
from celers_worker.services.heartbeat import Heartbeat
from celers_worker.services.hooks import Claim
from celers_worker.services.identity import Identity
from celers_worker.services.permits import Permits
from celers_worker.services.runner import Runner
from celers_worker.services.service import Service
from celers_worker.services.settler import Settler
from celers_worker.store import Store, maintenance

#: Outcomes that may wait for a slow database before the worker claims no more.
BACKLOG = 5_000
#: While a suspect waits to run alone, this often is looked whether it may, in seconds.
_ISOLATED = 0.05
#: A claim that was not answered in time may still be made, when the server gets to it. For so many
#: seconds the poller looks for tasks of its own that nobody runs, and so often.
DOUBT, LOOK = 60.0, 5.0
#: A claim that passed over tasks of held handlers for longer than this, in seconds, and found no
#: other, is repeated after so many times as long: there may be a hundred thousand of them.
SLOW, PATIENCE = 0.01, 10


class Poller(Service):
    """Permits first, tasks second: a claimed task always has somewhere to run."""

    name = "poller"

    def __init__(
        self,
        events: Events,
        store: Store,
        identity: Identity,
        permits: Permits,
        runner: Runner,
        settler: Settler,
        heartbeat: Heartbeat,
        *,
        interval: float,
        claim: Claim | None = None,
    ) -> None:
        """*claim*: the store's, with middleware around it."""
        super().__init__(events, interval=interval)
        self._store = store
        self._claim = claim or store.claim
        self._identity = identity
        self._permits = permits
        self._runner = runner
        self._settler = settler
        self._heartbeat = heartbeat
        self._doubt_ends = self._look_at = math.inf
        self._on_claim: Callable[[int], None] = lambda count: None
        self._held_up = False
        self._apart = self._claimed = False
        self._wakes_at = math.inf
        self.has_claimed = False
        """Whether a claim was ever answered."""
        self.rests_until = 0.0
        """Until when nothing else than what was passed over is expected, by the monotonic clock."""
        self._passed_over: frozenset[str] = frozenset()
        permits.on_free(self.wake)
        settler.on_written(self._go_on)

    def on_claim(self, callback: Callable[[int], None]) -> None:
        """Call *callback* after each claim with the number of tasks it found."""
        self._on_claim = callback

    async def tick(self) -> bool:
        """Claim for what there is room; True when something was found."""
        self._claimed = False
        if self._keeps_apart():
            if not self._settler.backlog:
                await self._begin_suspect()
            return False
        room = BACKLOG - self._settler.backlog
        self._held_up = room <= 0
        demand = self._permits.demand(at_most=room)
        if demand.total == 0 or not self._heartbeat.holds_lease:
            return False
        if time.monotonic() < self.rests_until and demand.excluded == self._passed_over:
            return False
        if time.monotonic() >= self._look_at:
            await self._recover()
        began = time.perf_counter()
        try:
            tasks = await self._claim(self._identity.id, demand)
        except Unavailable:
            # The claim may have been made all the same, and then nobody runs those tasks.
            self._look_at = time.monotonic()
            self._doubt_ends = self._look_at + DOUBT
            raise
        self.has_claimed = self._claimed = True
        seconds = time.perf_counter() - began
        self.events.emit(TasksClaimed(tasks, seconds))
        self._passed_over = demand.excluded if self._permits.holding and not tasks else frozenset()
        rests = self._passed_over and seconds > SLOW
        self.rests_until = time.monotonic() + PATIENCE * seconds if rests else 0.0
        self._permits.take_all(tasks)
        self._runner.start_all(tasks)
        self._on_claim(len(tasks))
        # Under load the next claim is under way while the handlers of this one run; else they
        # start first.
        self.eager = len(tasks) == demand.total
        return bool(tasks)

    def pause(self) -> float:
        """Until the next task is due, or a rest is over; at most the interval."""
        if self._apart:
            return _ISOLATED
        pause = self.interval
        if self._claimed and (next_due := self._store.levels.next_due) is not None:
            pause = min(pause, next_due)
        # Whoever woke it while it rested is not to be forgotten.
        if (left := self.rests_until - time.monotonic()) > 0:
            pause = min(pause, left)
        self._wakes_at = time.monotonic() + pause
        return pause

    def _go_on(self) -> None:
        """Look again now that outcomes are written: they may have held the claims up.

        And a task that goes back may be due before anybody would look.
        """
        next_due = self._store.levels.next_due
        sooner = next_due is not None and time.monotonic() + next_due < self._wakes_at
        if self._held_up or sooner:
            self.wake()

    def _keeps_apart(self) -> bool:
        """Whether a suspect is to be alone here, until its outcome is written.

        Else it would be blamed for what begins after it.
        """
        self._apart = self._runner.isolating or (self._apart and self._settler.backlog > 0)
        return self._apart

    async def _begin_suspect(self) -> None:
        """Start the suspect that is due, once the database knows that it was this one."""
        task = self._runner.next_suspect()
        if task is None:
            return
        if await self._store.run(maintenance.mark_suspect, self._identity.id, task):
            self._runner.admit_suspect()

    async def _recover(self) -> None:
        known = {*self._runner.runs, *self._settler.unsettled()}
        count = await self._store.run(maintenance.recover, self._identity.id, known)
        now = time.monotonic()
        self._look_at = now + LOOK if now < self._doubt_ends else math.inf
        if count:
            self._store.levels.forget()
            self.events.emit(TasksRecovered(count))
