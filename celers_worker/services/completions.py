"""Completions: handlers that end their task in the transaction of their own writes.

The settler has no part in it. Three things make the effects happen once:

- the settle in that transaction carries the lease, so a run that lost its task undoes all of it;
- from before the commit until its answer nobody else decides about the run;
- an answer that was lost is found out: the transaction has locked the task's row, so to look at
  it under a lock waits for its end, and then the task is gone with our lease, or still ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from celers_worker.core.context import Context
from celers_worker.core.errors import CelersError, LeaseLost, PayloadError, StoreError
from celers_worker.core.events import Events, LeasesLost, TaskEnded, TasksSettled
from celers_worker.core.outcome import NOTHING, Completed, Dead, Settlement, outcome_of_value
from celers_worker.services.identity import Identity
from celers_worker.services.run import Run, Stop
from celers_worker.services.runner import Runner
from celers_worker.services.service import recovery_pause
from celers_worker.store import Store
from celers_worker.store.handler_session import Fate, HandlerSessions, fate_of

T = TypeVar("T")

#: How often a thread that waits for the loop looks whether there still is one, in seconds.
_LOOK = 1.0


class Completions:
    """Opens handlers' transactions, and commits them with their tasks."""

    def __init__(self, events: Events, store: Store, identity: Identity, runner: Runner) -> None:
        self._events = events
        self._store = store
        self._identity = identity
        self._runner = runner
        self._sessions = HandlerSessions(store)
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.close()

    @asynccontextmanager
    async def transaction(self, context: Context) -> AsyncIterator[Any]:
        """See ``Context.transaction``."""
        run = self._run_of(context)
        async with self._sessions.open() as opened:
            with _session_of(context, opened.session):
                yield opened.session
            settlement = Settlement(run.task, context.completion or NOTHING)
            began = time.perf_counter()
            held = await opened.settle(self._identity.id, settlement)
            if held:
                self._enter(run)
                deciding = self._decide(run, settlement, opened.commit, began)
                await _to_its_end(asyncio.ensure_future(deciding))
        if not held:  # told when all is undone, for it cancels the run
            self._lost(run)

    @contextmanager
    def transaction_sync(self, context: Context) -> Iterator[Any]:
        """See ``Context.transaction_sync``. What concerns the run is done by the loop."""
        run = self._on_loop(self._run_of, context)
        with self._sessions.open_sync() as opened:
            with _session_of(context, opened.session):
                yield opened.session
            settlement = Settlement(run.task, context.completion or NOTHING)
            began = time.perf_counter()
            held = opened.settle(self._identity.id, settlement)
            if held:
                self._on_loop(self._enter, run)
                self.on_loop(self._decide(run, settlement, _answer_of(opened.commit), began))
        if not held:
            self._on_loop(self._lost, run)

    def completion(self, context: Context, result: object) -> Completed:
        """The outcome of a run that ends with *result*. Raises PayloadError."""
        run = self._runner.runs[context.task.id]
        outcome = outcome_of_value(result, run.handler, runtime=time.monotonic() - run.started)
        if isinstance(outcome, Dead):
            raise PayloadError(outcome.failure.message)
        assert isinstance(outcome, Completed), "a value completes a task, or cannot be stored"
        return outcome

    # --- on the loop ---

    def _run_of(self, context: Context) -> Run:
        run = self._runner.runs.get(context.task.id)
        if run is None or run.context is not context:
            raise LeaseLost("the run of this context is over: it was told to stop, and went on.")
        if context.session is not None:
            raise CelersError("context.transaction() is open already: use the session it gave.")
        if run.completed:
            raise CelersError(
                "this task is completed: context.transaction() ends it, so a handler has one. "
                "Put everything into one block, or use sessions of your own for the rest."
            )
        if run.settled or run.committing:
            raise LeaseLost("this run was told to stop, and its outcome is decided.")
        return run

    def _enter(self, run: Run) -> None:
        """From now on only we decide about the run."""
        if run.settled or run.stop is Stop.LEASE_LOST:
            raise LeaseLost(f"the run was stopped before its commit: {run.reason}.")
        run.settled = run.committing = True

    def _lost(self, run: Run) -> None:
        reason = "another worker has taken it over, or it has ended"
        if run.stop is Stop.LEASE_LOST:
            pass  # the heartbeat has seen and told it
        elif self._runner.runs.get(run.task.id) is run:
            self._runner.lose([run.task.id], reason)
        else:  # this worker has claimed it again
            run.stop, run.reason = Stop.LEASE_LOST, reason
            self._events.emit(LeasesLost([run.task], reason))
        raise LeaseLost(
            f"task {run.task.id} is not this run's any more: {reason}. Nothing was written."
        )

    async def _decide(
        self,
        run: Run,
        settlement: Settlement,
        commit: Callable[[], Coroutine[Any, Any, None]],
        began: float,
    ) -> None:
        """Commit, find out what came of it, and tell. Not to be interrupted."""
        error: Exception | None = None
        try:
            await commit()
            fate: Fate | None = Fate.COMMITTED
        except Exception as failure:  # the driver's; _find_out says what it meant
            error = failure
            fate = await self._find_out(run, settlement)
        run.completed = fate is Fate.COMMITTED
        self._runner.after_commit(run)
        if run.completed:
            self._tell(run, settlement, time.perf_counter() - began)
            return
        if fate is Fate.UNDONE and error is not None:
            raise error
        if fate is None:
            raise LeaseLost(
                "the database has not answered the commit, and the run had to end: whether it was "
                "made is not known here. If it was, the task is completed and does not run again."
            ) from error
        self._lost(run)

    async def _find_out(self, run: Run, settlement: Settlement) -> Fate | None:
        """What became of the commit; None if nobody can wait any longer.

        What is written of this run from then on carries its lease: if the commit was made, it
        changes nothing.
        """
        keep = self._store.options.keep_completed
        failures = 0
        while True:
            try:
                return await self._store.run(fate_of, settlement, keep_completed=keep)
            except StoreError:
                if run.missed is not None:
                    return None
            failures += 1
            await asyncio.sleep(recovery_pause(failures))

    def _tell(self, run: Run, settlement: Settlement, seconds: float) -> None:
        if self._events.wants(TaskEnded):
            self._events.emit(TaskEnded(settlement, time.monotonic() - run.started))
        self._events.emit(TasksSettled([settlement], seconds))

    # --- from a thread ---

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do *work*, and wait for it. Raises LeaseLost if the loop is gone."""
        try:
            answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise LeaseLost("the worker has ended without this handler.") from None
        return self._wait_for(answer)

    def _on_loop(self, function: Callable[..., T], *args: Any) -> T:
        answer: Future[T] = Future()

        def act() -> None:
            try:
                answer.set_result(function(*args))
            except BaseException as error:  # the thread that waits raises it
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            raise LeaseLost("the worker has ended without this handler.") from None
        return self._wait_for(answer)

    def _wait_for(self, answer: Future[T]) -> T:
        while True:
            try:
                return answer.result(timeout=_LOOK)
            except TimeoutError:
                if answer.done():
                    raise
                if self._loop.is_closed():
                    raise LeaseLost("the worker has ended without this handler.") from None


@contextmanager
def _session_of(context: Context, session: Any) -> Iterator[None]:
    context.session = session
    try:
        yield
    finally:
        context.session = None


def _answer_of(commit: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Commit here and now, in this thread; the answer is for the loop to await."""
    error: Exception | None = None
    try:
        commit()
    except Exception as failure:  # told to the loop, which finds out
        error = failure

    async def answer() -> None:
        if error is not None:
            raise error

    return answer


async def _to_its_end(deciding: asyncio.Future[None]) -> None:
    """Wait for *deciding*, also when cancelled meanwhile; then be cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not deciding.done():
        try:
            await asyncio.wait({deciding})
        except asyncio.CancelledError as error:
            cancelled = error
    deciding.result()
    if cancelled is not None:
        raise cancelled
