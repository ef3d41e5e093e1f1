"""Runner: runs a claimed task to one outcome. It never touches the store."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Container, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from celers_worker.core.context import Context
from celers_worker.core.duration import format_duration
from celers_worker.core.events import (
    Events,
    LeasesLost,
    OutcomeIgnored,
    TaskAbandoned,
    TaskEnded,
    TaskStarted,
)
from celers_worker.core.host import Host
from celers_worker.core.outcome import (
    NOTHING,
    Dead,
    Expired,
    Outcome,
    Release,
    Retry,
    Settlement,
)
from celers_worker.core.registry import Registry
from celers_worker.core.task import Task
from celers_worker.services.children import Children
from celers_worker.services.executors import Executors
from celers_worker.services.hooks import BeforeRetry
from celers_worker.services.isolation import Isolation
from celers_worker.services.lanes import Lanes
from celers_worker.services.permits import Permits
from celers_worker.services.run import (
    Run,
    Settles,
    Stop,
    arguments_of,
    outcome_of_raise,
    outcome_of_return,
)
from celers_worker.services.threads import Threads
from celers_worker.services.unrun import Unrun

#: A process that does not end in its grace is killed, and gone within so many seconds.
_KILL = 2.0


class Runner:
    """Runs handlers: coroutines on the loop, plain functions in threads, some in processes.

    A run that is told to stop and does not is abandoned: its outcome is written, so that the task
    goes on its way, but its permit stays taken until the handler really ends.
    """

    def __init__(
        self,
        events: Events,
        registry: Registry,
        permits: Permits,
        settler: Settles,
        *,
        threads: int,
        children: Children | None = None,
        cancel_grace: float,
        timeout: timedelta | None = None,
        max_crashes: int = 3,
        before_retry: BeforeRetry | None = None,
    ) -> None:
        self.runs: dict[UUID, Run] = {}
        self.released = 0
        """Tasks given back because the worker stops."""
        self.host: Host | None = None
        """What the contexts offer to their handlers."""
        self._events = events
        self._registry = registry
        self._permits = permits
        self._settler = settler
        self._cancel_grace = cancel_grace
        self._timeout = timeout
        self._before_retry = before_retry
        self._executors = Executors(Threads(threads), children)
        self._isolation = Isolation(max_crashes)
        self._unrun = Unrun(events, permits, settler)
        self._left: list[Task] = []
        self._lanes = Lanes(self._execute, limit=permits.total, rested=self._give_back)
        self._quiet = False
        self._idle = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def start_all(self, tasks: Iterable[Task]) -> None:
        """Run tasks, whose permits are taken, or settle what cannot be run; suspects come last."""
        suspects = []
        for task in tasks:
            if task.crash_count and self._isolation.suspects(task):
                suspects.append(task)
            else:
                self._prepare(task)
        for task in suspects:
            self._prepare(task, alone=True)
        self._lanes.summon()

    @property
    def running(self) -> int:
        """How many of the runs have begun; the others wait for a permit, or to run alone."""
        return self._lanes.running

    def adopt(self, registry: Registry, *, limit: int, timeout: timedelta | None) -> None:
        """Start what starts from now on by these; what runs goes on by the old."""
        self._registry, self._timeout = registry, timeout
        self.resize(limit)

    def stuck(self, patience: float) -> bool:
        """Whether runs wait that should have begun so many seconds ago."""
        return self._lanes.stuck(patience)

    @property
    def isolating(self) -> bool:
        """Whether a suspect runs, or waits to run, alone: then nothing else should be claimed."""
        return self._isolation.closed

    def holder(self) -> Task | None:
        """The task whose handler runs on the event loop right now; to be asked by a thread."""
        lane = asyncio.current_task(self._loop)
        holding = (run for run in list(self.runs.values()) if run.execution is lane)
        return next((run.task for run in holding if lane is not None and not run.settled), None)

    def next_suspect(self) -> Task | None:
        """The suspect that waits, if nothing else runs or it has waited long enough."""
        for run in self._isolation.overdue():
            self._stop(run, Stop.HELD, "waits to run alone, after crashes")
        due = self._isolation.due(len(self.runs))
        return None if due is None else due.task

    def admit_suspect(self) -> None:
        """Start the suspect that waits.

        When every outcome is written, for whatever is not would die with it; and when the database
        knows that it starts.
        """
        if (run := self._isolation.admit()) is not None:
            self._lanes.add(run)
            self._lanes.summon()

    def cancel(self, task_id: UUID, reason: str) -> None:
        """Tell a run to stop because a person cancelled its task."""
        if (run := self.runs.get(task_id)) is not None:
            self._stop(run, Stop.CANCEL, reason)

    def lose(self, task_ids: Iterable[UUID], reason: str) -> None:
        """Stop runs whose leases this worker does not hold any more; threads may go on for long."""
        found = [run for task_id in list(task_ids) if (run := self.runs.get(task_id)) is not None]
        lost = [run for run in found if run.stop is not Stop.LEASE_LOST]
        for run in lost:
            self._stop(run, Stop.LEASE_LOST, reason)
        if lost:
            self._events.emit(LeasesLost([run.task for run in lost], reason))

    def after_commit(self, run: Run) -> None:
        """The commit that was to settle *run* is over: what it was told meanwhile holds now."""
        run.committing, run.settled = False, run.completed
        if run.stop is not None:
            run.timer = self._loop.call_later(self._cancel_grace, self._abandon, run)
        elif run.missed is not None:
            self._stop(run, *run.missed)

    def quiet(self) -> None:
        """From now on give tasks back unrun: a claim may still be under way."""
        self._quiet = True
        for run in [*self._lanes.ahead, *self._executors.waiting]:
            self._stop(run, Stop.SHUTDOWN, "the worker is stopping")

    def give_back(self, names: Container[str], reason: str) -> None:
        """Give back unrun what handlers with these *names* have claimed ahead."""
        for run in self._lanes.ahead:
            if run.task.name in names:
                self._stop(run, Stop.HELD, reason)

    def resize(self, limit: int) -> None:
        """Run so many tasks at once from now on."""
        self._lanes.limit = limit
        self._lanes.summon(limit)

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing runs, at most so long; True if nothing does."""
        end = time.monotonic() + seconds
        while self.runs and (left := end - time.monotonic()) > 0:
            self._idle.clear()
            try:
                async with asyncio.timeout(left):
                    await self._idle.wait()
            except TimeoutError:
                break
        return not self.runs

    def stop_all(self, reason: str) -> None:
        """Tell every run to stop; its task is given back without counting the attempt."""
        for run in list(self.runs.values()):
            self._stop(run, Stop.SHUTDOWN, reason)

    def abandon_all(self) -> int:
        """Settle every run as if it had ended, and return how many there were."""
        left = [run for run in self.runs.values() if not run.settled]
        for run in left:
            self._abandon(run)
        return len(left)

    def close(self) -> None:
        """Take no more work. Threads that run are not waited for, processes are killed."""
        self._executors.close()

    # --- a run ---

    def _prepare(self, task: Task, *, alone: bool = False) -> None:
        """Let *task* be run in its turn, or by itself, or settle it."""
        handler = self._registry.get(task.name)
        if self._quiet:
            self.released += 1
            self._unrun.settle(task, Release())
        elif handler is None:
            self._unrun.park(task, self._registry.suggestion(task.name))
        elif task.expired:
            self._unrun.settle(task, Expired())
        else:
            run = self.runs[task.id] = Run(task, handler, Context(task, self.host))
            self._isolation.hold(run) if alone else self._lanes.add(run)

    async def _execute(self, run: Run) -> None:
        """Run a handler to its end, in the lane that has its turn."""
        if self._events.wants(TaskStarted):
            self._events.emit(TaskStarted(run.task))
        if run.handler.runs != "process":  # its time runs when it has one
            self._limit(run)
        arguments = arguments_of(run)
        if isinstance(arguments, Dead):
            self._end(run, arguments)
            return
        args, kwargs = arguments
        try:
            if run.handler.around is not None:
                call = functools.partial(self._call, run, args, kwargs)
                value = await run.handler.around(run.context, call)
            elif run.handler.runs == "async":
                value = await run.handler.function(*args, **kwargs)
            else:
                value = await self._call(run, args, kwargs)
            outcome = NOTHING if value is None else outcome_of_return(run, value)
        except BaseException as error:  # what a handler raises, and a cancellation
            # SystemExit and its like are the handler's failure, not the worker's end.
            outcome = outcome_of_raise(run, error)
        self._end(run, outcome)

    async def _call(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        begin = functools.partial(self._begin, run)
        return await self._executors.call(run, args, kwargs, begin)

    def _limit(self, run: Run) -> None:
        """Have *run* stopped at its timeout: the task's own, else the handler's, the worker's."""
        if run.task.timeout is not None:
            seconds = run.task.timeout
        elif (default := run.handler.timeout or self._timeout) is not None:
            seconds = default.total_seconds()
        else:
            return
        words = f"ran longer than its timeout of {format_duration(timedelta(seconds=seconds))}"
        run.timer = self._loop.call_later(seconds, self._stop, run, Stop.TIMEOUT, words)

    def _begin(self, run: Run) -> None:
        """Take note that a run has its process."""
        if run.stop is None:
            run.started = time.monotonic()
            self._limit(run)
            if (soft := run.handler.soft_timeout) is not None:
                self._loop.call_later(soft.total_seconds(), run.context.stop)

    def _end(self, run: Run, outcome: Outcome) -> None:
        if run.timer is not None:
            run.timer.cancel()
        self._settle(run, outcome)
        self._remove(run)

    def _settle(self, run: Run, outcome: Outcome) -> None:
        if not run.settled:
            run.settled = True
            if self._before_retry is not None and isinstance(outcome, Retry):
                outcome = self._before_retry(run.task, outcome)
            if run.stop is Stop.SHUTDOWN and isinstance(outcome, Release):
                self.released += 1
            settlement = Settlement(run.task, outcome)
            self._settler.put(settlement)
            if self._events.wants(TaskEnded):
                self._events.emit(TaskEnded(settlement, time.monotonic() - run.started))
        elif run.completed and outcome not in (NOTHING, run.context.completion):
            self._events.emit(OutcomeIgnored(Settlement(run.task, outcome)))

    def _remove(self, run: Run) -> None:
        task = run.task
        if (found := self.runs.pop(task.id, None)) is not run and found is not None:
            self.runs[task.id] = found  # claimed again, while a thread of this run went on
        if task.crash_count:
            self._isolation.left(run)
        self._lanes.leave(run)
        self._left.append(task)
        if not self.runs:
            self._idle.set()

    def _give_back(self) -> None:
        """Give back the permits of the runs that have left: one call for all of a lane's turn."""
        if self._left:
            left, self._left = self._left, []
            self._permits.give_back(left)

    # --- stopping a run ---

    def _stop(self, run: Run, stop: Stop, reason: str) -> None:
        if run.stop is None and (run.completed or not run.settled):
            run.stop, run.reason = stop, reason
            run.context.stop()
            if run.timer is not None:
                run.timer.cancel()
            if run.execution is None:  # it waits for its turn
                self._end(run, outcome_of_raise(run, asyncio.CancelledError()))
                self._give_back()
                return
            run.execution.cancel()
            patience = self._cancel_grace + (_KILL if run.handler.runs == "process" else 0)
            run.timer = self._loop.call_later(patience, self._abandon, run)
        elif run.committing and run.missed is None:
            run.missed = stop, reason

    def _abandon(self, run: Run) -> None:
        if not run.settled:
            self._settle(run, outcome_of_raise(run, asyncio.CancelledError()))
            self._events.emit(TaskAbandoned(run.task, run.reason))
