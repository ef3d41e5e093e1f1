"""Control: does what operators ask of this worker, as the heartbeat reads it."""

from __future__ import annotations

from collections.abc import Callable

from celers_worker.config import Config
from celers_worker.core.control_events import WorkerDirected
from celers_worker.core.events import Events
from celers_worker.core.orders import Limits, Orders, WorkerState
from celers_worker.services.permits import Permits
from celers_worker.services.runner import Runner
from celers_worker.services.settler import Settler


class Control:
    """Follows orders that differ from the last ones; what a signal has done meanwhile stays."""

    def __init__(
        self, events: Events, config: Config, permits: Permits, runner: Runner, settler: Settler
    ) -> None:
        self._events = events
        self._config = config
        self._permits = permits
        self._runner = runner
        self._settler = settler
        self._on_stop: Callable[[str], None] = lambda reason: None
        self.orders = Orders()
        """The last ones, for the row of this worker's next id."""
        self.state = WorkerState.RUNNING

    def on_stop(self, callback: Callable[[str], None]) -> None:
        """Call *callback* with the reason when the worker has been asked to stop."""
        self._on_stop = callback

    @property
    def concurrency(self) -> int:
        """How many tasks run at once at most."""
        return self._permits.total

    @property
    def limits(self) -> Limits:
        """What the worker's row says of its limits."""
        return self._permits.limits

    def obey(self, orders: Orders) -> bool:
        """Do what is new in *orders*; True if the worker's row should say so at once."""
        before, self.orders = self.orders, orders
        changed = False
        if orders.concurrency not in (None, before.concurrency):
            self._resize(orders.concurrency)
            changed = True
        if orders.state not in (None, before.state):
            changed = self.turn(orders.state) or changed
        if changed:
            self._events.emit(
                WorkerDirected(self.state.value, self.concurrency, orders.by or "an operator")
            )
        return changed

    def turn(self, state: WorkerState) -> bool:
        """Be in *state* from now on; for orders, and for signals. False: nothing new."""
        if self.state in (state, WorkerState.STOPPING):
            return False
        self.state = state
        match state:
            case WorkerState.RUNNING:
                self._permits.reopen()
            case WorkerState.QUIET | WorkerState.DRAINING:
                self._permits.close()
            case WorkerState.STOPPING:
                self._stop("told to stop")
        return True

    def adopt(self, config: Config) -> Config:
        """Take another configuration, and return it with the concurrency that was ordered."""
        self._config = config
        ordered = self.orders.concurrency
        return config if ordered is None else config.with_concurrency(ordered)

    def look(self) -> None:
        """Stop the worker if it drains and has nothing left."""
        busy = self._runner.runs or self._settler.backlog
        if self.state is WorkerState.DRAINING and not busy:
            self._stop("told to drain")

    def _stop(self, reason: str) -> None:
        self.state = WorkerState.STOPPING
        self._on_stop(f"{reason} by {self.orders.by or 'an operator'}")

    def _resize(self, concurrency: int) -> None:
        scaled = self._config.with_concurrency(concurrency)
        self._permits.resize(
            concurrency, queues=scaled.queue_limits, queue_default=scaled.other_queues_limit
        )
        self._runner.resize(concurrency)
