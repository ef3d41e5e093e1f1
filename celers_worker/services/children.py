"""Children: the processes of handlers with ``runs="process"``, kept, replaced and killed alone.

Our own supervision and not concurrent.futures, where the death of one process fails every task.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from celers_worker.core import wire
from celers_worker.core.duration import format_duration
from celers_worker.core.errors import CelersError, PayloadError, ProcessLost
from celers_worker.core.events import ChildEnded, Events
from celers_worker.core.outcome import Completed, Dead, Decided, Outcome, Release, failure_of
from celers_worker.core.task import NewTask
from celers_worker.services.child import Child
from celers_worker.services.run import Run, Stop

#: A process may take so long to start and to import the handler's module.
_START = timedelta(seconds=60)
#: A task for which there can be no process now is given back for so long.
_LATER = timedelta(seconds=5)
#: Of the worker's environment a process has these, and what the configuration names.
_KEPT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "NO_COLOR"}
    | {"TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
_KEPT_KINDS = ("LC_", "PYTHON")
#: These are not asked for an end: their time is over.
_AT_ONCE = (Stop.TIMEOUT, Stop.LEASE_LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nursery:
    """What children are made of: how many, what they are told, what of the environment they see.

    *modules*: where each handler is declared.
    """

    count: int
    setup: wire.Setup
    modules: Mapping[str, str]
    environment: Sequence[str] = ()

    def scrubbed(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Of *environment* what a handler may see: no database, no credentials."""
        return {
            name: value
            for name, value in environment.items()
            if name in _KEPT or name in self.environment or name.startswith(_KEPT_KINDS)
        }


class Children:
    """Runs handlers in processes, at most so many at a time, each for one task at a time."""

    def __init__(self, events: Events, nursery: Nursery, *, patience: float) -> None:
        """*patience*: what a run that is asked to end may take, in seconds."""
        self.waiting: dict[Run, None] = {}
        """Runs for which there is no process yet."""
        self._events = events
        self._nursery = nursery
        self._patience = patience
        self._room = asyncio.Semaphore(nursery.count)
        self._idle: deque[Child] = deque()
        self._all: set[Child] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()

    async def call(self, run: Run, begin: Callable[[], None]) -> Any:
        """Run *run*'s task in a process, and return its result, or raise Decided.

        *begin* is called when the handler is. A run that is told to stop is cancelled here: its
        process is asked to end it, or killed.
        """
        self.waiting[run] = None
        try:
            await self._room.acquire()
        finally:
            del self.waiting[run]
        try:
            outcome = await self._outcome(run, begin)
        finally:
            self._room.release()
        if not isinstance(outcome, Completed):
            raise Decided(outcome)
        try:
            return run.handler.decode_result(outcome.result)
        except PayloadError as error:
            raise Decided(Dead("its result cannot be read", failure_of(error))) from None

    async def dismiss(self) -> None:
        """Let everybody go who has nothing to do, and wait for those who are leaving."""
        while self._idle:
            self._let_go(self._idle.pop(), "the worker stops")
        if self._leaving:
            await asyncio.wait(self._leaving)

    def kill(self) -> None:
        """Kill everybody."""
        for child in self._all:
            child.kill("the worker stops")

    # --- a run ---

    async def _outcome(self, run: Run, begin: Callable[[], None]) -> Outcome:
        child = await self._take()
        talking = asyncio.ensure_future(self._talk(child, run, begin))
        talking.add_done_callback(_looked_at)
        run.context.on_stop(lambda: child.tell(wire.Stop(asks=run.stop is None)))
        try:
            return await asyncio.shield(talking)
        except asyncio.CancelledError:
            outcome = await self._end(run, child, talking)
            if isinstance(outcome, Completed):
                return outcome  # it was quicker
            raise
        finally:
            run.context.on_stop(lambda: None)  # the child may have another run by then
            if not talking.done():
                child.kill("its run was cancelled")

    async def _end(
        self, run: Run, child: Child, talking: asyncio.Future[Outcome]
    ) -> Outcome | None:
        """Wait for the end of a run that was told to stop; kill it when it has had its time."""
        if run.stop not in _AT_ONCE and run.stop is not None:
            await asyncio.wait({talking}, timeout=self._patience)
        if not talking.done():
            child.kill(run.reason or "its run was cancelled")
            await asyncio.wait({talking})
        return None if talking.exception() is not None else talking.result()

    async def _talk(self, child: Child, run: Run, begin: Callable[[], None]) -> Outcome:
        """The whole conversation about one run. Raises ProcessLost or MemoryError."""
        memory = run.handler.memory
        late = f"it did not start within {format_duration(_START)}"
        starting = asyncio.get_running_loop().call_later(_START.total_seconds(), child.kill, late)
        watching: asyncio.Task[None] | None = None
        child.tell(wire.Start(self._nursery.modules[run.handler.name], run.task, memory))
        try:
            async for message in child.heard():
                match message:
                    case wire.Begun():
                        starting.cancel()
                        begin()
                        watching = _watched(child, memory)
                    case wire.Wrote(level, text):
                        run.context.keep_line(level, text)
                    case wire.Told() | wire.Ask():
                        self._in_background(_passed_on(child, run, message))
                    case wire.Refused(why):
                        self._idle.append(child)
                        raise ProcessLost(why)
                    case wire.Ended(spoilt=spoilt):
                        outcome = message.read()
                        if spoilt is None and child.killed is None:
                            self._idle.append(child)
                        else:
                            self._let_go(child, spoilt or "it was killed")
                        return outcome
        except msgspec.MsgspecError:
            child.kill("it wrote into its connection to the worker")
        finally:
            starting.cancel()
            if watching is not None:
                watching.cancel()
        raise await self._lost(child, run)

    async def _lost(self, child: Child, run: Run) -> Exception:
        how = await child.ended()
        self._all.discard(child)
        error = child.lost(how)
        self._events.emit(ChildEnded(child.pid, str(error), run.task))
        return error

    # --- children ---

    async def _take(self) -> Child:
        """A child that has nothing to do. Raises Decided: there can be none for now."""
        while self._idle:
            child = self._idle.pop()
            if child.lives:
                return child
            self._let_go(child, "it ended by itself")
        try:
            child = Child(self._nursery.scrubbed(os.environ))
        except OSError as error:  # no memory, too many processes
            why = f"no process could be started: {error.strerror}"
            raise Decided(Release(_LATER, why)) from error
        self._all.add(child)
        try:
            await child.open(self._nursery.setup)
        except BaseException:
            self._let_go(child, "its run was cancelled")
            raise
        return child

    def _let_go(self, child: Child, why: str) -> None:
        self._events.emit(ChildEnded(child.pid, why))
        leaving = self._in_background(child.let_go())
        leaving.add_done_callback(lambda _: self._all.discard(child))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _in_background(self, doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(doing)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


class _Asked(NamedTuple):
    """A task that a handler's process wants to be enqueued, as ``Context.enqueue`` takes it."""

    task: NewTask


def _watched(child: Child, memory: int | None) -> asyncio.Task[None] | None:
    return None if memory is None else asyncio.create_task(child.watch(memory))


async def _passed_on(child: Child, run: Run, message: wire.Told | wire.Ask) -> None:
    """Do for a handler what needs the database, and answer."""
    if isinstance(message, wire.Told):
        with contextlib.suppress(CelersError):  # of no use to a handler
            await run.context.progress(message.done, message.total, message.message)
        return
    try:
        added = await run.context.enqueue(*map(_Asked, message.tasks))
    except Exception as error:
        told = str(error) if isinstance(error, CelersError) else str(failure_of(error))
        child.tell(wire.Answer(message.number, error=told))
    else:
        child.tell(wire.Answer(message.number, added))


def _looked_at(done: asyncio.Future[Outcome]) -> None:
    """Nobody may wait for it any more."""
    if not done.cancelled():
        done.exception()
