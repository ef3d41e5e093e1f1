"""Watchdog: a thread that keeps the lease while a handler holds the event loop, and names it.

A coroutine that computes or sleeps without awaiting stops every asyncio task of the process, the
heartbeat too. Its tasks are healthy, so the lease should live; the one at fault should be known.
And a loop that never comes back should not keep its tasks for ever.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from celers_worker.core.duration import format_duration
from celers_worker.core.errors import StoreError
from celers_worker.core.events import Events, LoopBlocked, LoopGivenUp
from celers_worker.core.process_events import LoopTurned, StacksTaken, TaskStack
from celers_worker.core.task import Task
from celers_worker.services.identity import Identity
from celers_worker.services.service import PATIENCE
from celers_worker.store import DirectStore, maintenance

#: The loop is looked at this often, in seconds, and counts as blocked from twice that.
_LOOK = 0.5


class Watchdog:
    """Renews the lease from outside the loop, but only while the loop is blocked."""

    def __init__(
        self,
        events: Events,
        store: Callable[[], DirectStore],
        identity: Identity,
        *,
        lease: timedelta,
        interval: float,
        deadline: timedelta,
        on_renewed: Callable[[float], None],
        holder: Callable[[], Task | None] = lambda: None,
        stacks: Callable[[int], Sequence[TaskStack]] = lambda loop_thread: (),
        give_up: Callable[[], None] = lambda: os._exit(70),
    ) -> None:
        """*deadline*: the process ends when the loop has been blocked for so long.

        *holder* says, in any thread, which task's handler runs on the loop now.
        """
        self._events = events
        self._open = store
        self._identity = identity
        self._lease = lease
        self._interval = interval
        self._deadline = deadline.total_seconds()
        self._on_renewed = on_renewed
        self._holder = holder
        self._stacks = stacks
        self._stacks_wanted = False
        self._give_up = give_up
        self._beat = self._looked_at = time.monotonic()
        #: Longer than its calls take, in seconds, with the connection for them.
        self.patience = PATIENCE
        self._stopped = threading.Event()
        self._loop_thread = 0
        self._thread = threading.Thread(target=self._watch, name="celers-watchdog", daemon=True)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop."""
        self._loop_thread = threading.get_ident()
        self._tick(asyncio.get_running_loop())
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def want_stacks(self) -> None:
        """Tell soon where the running tasks are, also while one of them blocks the loop.

        It takes no lock: a signal's handler may call it at any moment.
        """
        self._stacks_wanted = True

    @property
    def stuck(self) -> bool:
        """Whether the thread stands still, or has ended unasked."""
        if self._stopped.is_set() or self._thread.ident is None:
            return False
        return not self._thread.is_alive() or self.age > self.patience

    @property
    def age(self) -> float:
        """How long ago the thread looked, in seconds."""
        return time.monotonic() - self._looked_at

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        last, self._beat = self._beat, time.monotonic()
        if self._timer is not None:  # the first one waits for nothing
            self._events.emit(LoopTurned(max(self._beat - last - _LOOK, 0.0)))
        self._timer = loop.call_later(_LOOK, self._tick, loop)

    def _watch(self) -> None:
        store: DirectStore | None = None
        renewed = reported = 0.0
        while not self._rest():
            if self._stacks_wanted:
                self._stacks_wanted = False
                self._events.emit(StacksTaken(self._stacks(self._loop_thread)))
            blocked = time.monotonic() - self._beat
            if blocked < 2 * _LOOK:
                reported = 0.0
                continue
            if blocked > 2 * reported:  # after 1, 2, 4 … seconds
                reported = blocked
                self._events.emit(LoopBlocked(blocked, self._where()))
            if blocked > self._deadline:
                store = store or self._open()
                self._hand_over(store, blocked)
                self._give_up()
            if time.monotonic() - renewed >= self._interval:
                renewed = time.monotonic()
                store = store or self._open()
                self._renew(store)
        if store is not None:
            store.close()

    def _rest(self) -> bool:
        """Wait until the next look; True when it is the end."""
        began = self._looked_at = time.monotonic()
        stopped = self._stopped.wait(_LOOK)
        if time.monotonic() - began > 2 * _LOOK:
            # This thread could not run either: the process was frozen, and no handler is at fault.
            self._beat = time.monotonic()
        return stopped

    def _renew(self, store: DirectStore) -> None:
        sent = time.monotonic()
        with suppress(StoreError):  # an outage: the heartbeat learns of it when the loop is back
            if store.run(maintenance.renew, self._identity.id, self._lease):
                self._on_renewed(sent)

    def _hand_over(self, store: DirectStore, blocked: float) -> None:
        """Give back what this worker holds; only the task that holds the loop counts a crash."""
        where, culprit = self._where(), self._holder()
        self._events.emit(LoopGivenUp(blocked, where, culprit))
        span = format_duration(timedelta(seconds=blocked))
        how = (
            f"its event loop was blocked for {span} at {where[-1] if where else 'a place unknown'}"
        )
        with suppress(StoreError):  # then the reaper does it, and counts a crash for each
            if culprit is not None:
                store.run(maintenance.recover, self._identity.id, [culprit.id])
            store.run(maintenance.note_end, self._identity.id, how)

    def _where(self) -> list[str]:
        """The innermost frames of the loop's thread: the last one is what blocks."""
        frame = sys._current_frames().get(self._loop_thread)
        stack = traceback.extract_stack(frame)[-3:] if frame is not None else []
        return [f"{one.filename}:{one.lineno} {one.name}" for one in stack]
