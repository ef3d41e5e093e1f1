"""Circuits: hold the tasks of handlers that are paused, or nearly all of whose tasks fail.

Each worker counts the runs that ended there, which costs the database nothing. What it finds out
is written to the handler's row and holds its tasks at every worker: the service behind it is the
same for all, so what one has found out need not cost the others their attempts. And one worker
takes the turn to try a task, in that row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from uuid import UUID

from celers_worker.core.circuit import Breaker, verdict
from celers_worker.core.control_events import (
    CircuitClosed,
    CircuitOpened,
    CircuitProbed,
    HandlerFreed,
    HandlerHeld,
)
from celers_worker.core.events import Events, TaskEnded, TasksClaimed
from celers_worker.core.orders import Hold
from celers_worker.core.outcome import Dead, Retry
from celers_worker.core.registry import Registry
from celers_worker.services.identity import Identity
from celers_worker.services.permits import Permits
from celers_worker.services.runner import Runner
from celers_worker.store import Store, orders

#: What is never waited for less, in seconds: many workers wait for the same turn.
_SOONEST = 0.05


class Circuits:
    """The handlers that are held, and why. ``obey`` and ``write`` are the heartbeat's to call."""

    def __init__(
        self,
        events: Events,
        store: Store,
        identity: Identity,
        registry: Registry,
        permits: Permits,
        runner: Runner,
    ) -> None:
        self._events = events
        self._store = store
        self._identity = identity
        self._permits = permits
        self._runner = runner
        self._breakers = {
            handler.name: Breaker(handler.circuit)
            for handler in registry
            if handler.circuit is not None
        }
        self._on_news: Callable[[], None] = lambda: None
        self._held: dict[str, str] = {}
        self._due: dict[str, float] = {}
        #: What the rows do not say yet: circuits to open, with the failure, and to close.
        self._opening: dict[str, str] = {}
        self._closing: set[str] = set()
        #: Whose turn is ours, with the task that is tried once it is claimed.
        self._probes: dict[str, UUID | None] = {}
        self._resting: dict[str, float] = {}
        if self._breakers:
            events.listen(TasksClaimed, self._claimed)
            # Not when outcomes are written: until then, tasks that fail at once would be many more.
            events.listen(TaskEnded, self._ended)

    def on_news(self, callback: Callable[[], None]) -> None:
        """Call *callback* when there is something to write."""
        self._on_news = callback

    @property
    def next_probe(self) -> float:
        """Seconds until this worker may try a task of some handler; infinity: there is none."""
        now = time.monotonic()
        waits = [
            max(due, self._resting.get(name, 0.0)) - now
            for name, due in self._due.items()
            if name not in self._probes
        ]
        return max(min(waits, default=math.inf), _SOONEST)

    def obey(self, holds: Iterable[Hold]) -> None:
        """Hold these handlers and no others. A circuit counts where the handler declares one."""
        now = time.monotonic()
        held: dict[str, str] = {}
        open_ones: set[str] = set()
        for hold in holds:
            if hold.open and hold.name in self._breakers and hold.name not in self._closing:
                held[hold.name] = "its circuit is open"
                open_ones.add(hold.name)
                self._due[hold.name] = now + (hold.probe_in or 0.0)
            if hold.paused:
                held[hold.name] = "paused"
                self._due.pop(hold.name, None)
        held |= dict.fromkeys(self._opening, "its circuit is open")
        for name in self._held.keys() - open_ones - self._opening.keys():
            self._close_here(name)
        self._hold(held)

    async def write(self) -> None:
        """Write what was found out, and take the turns that are due. Raises StoreError."""
        run = self._store.run
        for name, error in list(self._opening.items()):
            rest = self._rest(name)
            if await run(orders.open_circuit, name, error, rest):
                self._events.emit(CircuitOpened(name, error, rest))
            self._due[name] = time.monotonic() + rest
            self._opening.pop(name, None)
        for name in list(self._closing):
            if await run(orders.close_circuit, name):
                self._events.emit(CircuitClosed(name))
            self._closing.discard(name)
        for name, due in list(self._due.items()):
            if name in self._held and time.monotonic() >= max(due, self._resting.get(name, 0.0)):
                await self._take_turn(name)

    # --- inside ---

    async def _take_turn(self, name: str) -> None:
        rest = self._rest(name)
        if name not in self._probes:
            if await self._store.run(orders.take_probe, name, self._identity.id, rest):
                self._probes[name] = None
        elif (task := self._probes[name]) is None:
            # Nothing of it came our way in a whole turn: let others have the next one.
            del self._probes[name]
            self._resting[name] = time.monotonic() + rest
        elif task not in self._runner.runs:  # it ended unrun: it had expired
            del self._probes[name]
        self._due[name] = time.monotonic() + rest
        self._apply()

    def _claimed(self, event: TasksClaimed) -> None:
        if self._probes:
            for task in event.tasks:
                if self._probes.get(task.name, task.id) is None:
                    self._probes[task.name] = task.id
                    self._events.emit(CircuitProbed(task.name, task.id))

    def _ended(self, event: TaskEnded) -> None:
        settlement = event.settlement
        name = settlement.task.name
        breaker = self._breakers.get(name)
        if breaker is None:
            return
        well = verdict(settlement)
        if self._probes.get(name) == settlement.task.id:
            self._probed(name, well)
        elif well is None or name in self._held:
            return
        elif breaker.count(well=well, at=time.monotonic()):
            assert isinstance(settlement.outcome, Retry | Dead), "a failure opened it"
            self._open(name, str(settlement.outcome.failure))

    def _probed(self, name: str, well: bool | None) -> None:
        if well:
            self._close_here(name)
            self._closing.add(name)
            self._hold({held: why for held, why in self._held.items() if held != name})
            self._on_news()
        elif (
            well is None
        ):  # it was snoozed or cancelled, which says nothing: the turn is still ours
            self._probes[name] = None
            self._apply()
        else:
            del self._probes[name]
            self._on_news()  # to wait for the next turn, not for the next heartbeat

    def _open(self, name: str, error: str) -> None:
        self._opening[name] = error
        self._hold(self._held | {name: "its circuit is open"})
        self._on_news()

    def _close_here(self, name: str) -> None:
        for known in (self._due, self._probes, self._resting):
            known.pop(name, None)
        if (breaker := self._breakers.get(name)) is not None:
            breaker.reset()

    def _hold(self, held: dict[str, str]) -> None:
        before, self._held = self._held, held
        for name in held.keys() - before.keys():
            self._events.emit(HandlerHeld(name, held[name]))
        for name in before.keys() - held.keys():
            self._events.emit(HandlerFreed(name))
        if held.keys() - before.keys():
            self._runner.give_back(held.keys() - before.keys(), "its handler is held")
        if held != before:
            self._apply()

    def _apply(self) -> None:
        self._permits.hold({name: int(self._probes.get(name, name) is None) for name in self._held})

    def _rest(self, name: str) -> float:
        return self._breakers[name].circuit.rest.total_seconds()
