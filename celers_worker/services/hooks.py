"""Hooks: what middleware does around a worker's claims and settles, and after them.

No hook can strand a task: what one raises is told and changes nothing, whatever it does with its
``call_next`` the database is asked once, and its answer counts, not what the hook makes of it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence, Set
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from celers_worker.core.errors import Unavailable
from celers_worker.core.events import Events, HookFailed, TasksClaimed, TasksSettled
from celers_worker.core.middleware import Middleware
from celers_worker.core.outcome import Dead, Retry, Settlement
from celers_worker.core.task import Demand, Task

#: How long hooks that still run when the worker has stopped are waited for, in seconds.
_LAST_HOOKS = 5.0
#: What is around a call of the database, and the call, may take so long, in seconds.
_LONGEST = 30.0

What = TypeVar("What")
Answer = TypeVar("Answer")
#: A call of the store for a worker, by its id.
Call: TypeAlias = Callable[[str, What], Awaitable[Answer]]
Claim: TypeAlias = Callable[[str, Demand], Awaitable[list[Task]]]
Settle: TypeAlias = Callable[[str, Sequence[Settlement]], Awaitable[Set[UUID]]]
BeforeRetry: TypeAlias = Callable[[Task, Retry], Retry | Dead]


class _Once(Generic[Answer]):
    """A call that is made once, however often it is asked for; its answer, or its error."""

    def __init__(self, call: Callable[[], Awaitable[Answer]]) -> None:
        self._call = call
        self._answers: list[Answer] = []
        self.error: BaseException | None = None

    @property
    def made(self) -> bool:
        """Whether it was asked for."""
        return bool(self._answers) or self.error is not None

    async def __call__(self) -> Answer:
        if self.error is not None:
            raise self.error
        if not self._answers:
            try:
                self._answers.append(await self._call())
            except BaseException as error:  # a cancellation too: nobody knows what was written
                self.error = error
                raise
        return self._answers[0]


class Hooks:
    """The hooks of an application's middleware, as one worker calls them."""

    def __init__(self, events: Events, middleware: Sequence[Middleware]) -> None:
        self._events = events
        self._middleware = middleware
        self._running: set[asyncio.Task[None]] = set()
        self._on_claim = self._overriding("after_claim")
        self._on_retry = self._overriding("after_retry")
        self._on_settle = self._overriding("after_settle")
        if self._on_claim:
            events.listen(TasksClaimed, self._claimed)
        if self._on_retry or self._on_settle:
            events.listen(TasksSettled, self._settled)

    def around_claims(self, claim: Claim) -> Claim:
        """*claim* with the middleware around it; itself, if there is none.

        A hook that returns without having called the next one lets the worker claim nothing.
        """
        for one in reversed(self._overriding("around_claim")):
            claim = self._around(one, one.around_claim, claim, unclaimed=list)
        return claim

    def around_settles(self, settle: Settle) -> Settle:
        """*settle* with the middleware around it; itself, if there is none."""
        for one in reversed(self._overriding("around_settle")):
            settle = self._around(one, one.around_settle, settle)
        return settle

    def before_retries(self) -> BeforeRetry | None:
        """What middleware makes of a failure that would be retried; None if there is none."""
        deciding = self._overriding("before_retry")
        return functools.partial(self._decide, deciding) if deciding else None

    async def close(self) -> None:
        """Wait for the last hooks, not for ever."""
        if self._running:
            await asyncio.wait(self._running, timeout=_LAST_HOOKS)
        for task in self._running:
            task.cancel()

    # --- inside ---

    def _overriding(self, hook: str) -> list[Middleware]:
        return [one for one in self._middleware if one.overrides(hook)]

    def _around(
        self,
        middleware: Middleware,
        hook: Callable[[Any, Any], Awaitable[Any]],
        call: Call[What, Answer],
        unclaimed: Callable[[], Answer] | None = None,
    ) -> Call[What, Answer]:
        async def around(worker: str, what: What) -> Answer:
            once = _Once(functools.partial(call, worker, what))
            try:
                async with asyncio.timeout(_LONGEST):
                    await hook(what, once)
                if unclaimed is not None and not once.made:
                    return unclaimed()
            except Exception as error:  # the user's code; or of the call, which is raised below
                if error is not once.error:
                    self._tell(middleware, error)
            if isinstance(once.error, asyncio.CancelledError):
                raise Unavailable(f"{_name(middleware)} and the database took over {_LONGEST} s.")
            return await once()

        return around

    def _decide(self, deciding: Sequence[Middleware], task: Task, retry: Retry) -> Retry | Dead:
        for one in deciding:
            try:
                decided: object = one.before_retry(task, retry)
                if not isinstance(decided, Retry | Dead):
                    raise TypeError(f"before_retry returned {decided!r}, and no Retry or Dead.")
            except Exception as error:  # the user's code
                self._tell(one, error)
                continue
            if isinstance(decided, Dead):
                return decided
            retry = decided
        return retry

    def _claimed(self, event: TasksClaimed) -> None:
        if event.tasks:
            for one in self._on_claim:
                self._start(one, one.after_claim(event.tasks))

    def _settled(self, event: TasksSettled) -> None:
        for one in self._on_settle:
            self._start(one, one.after_settle(event.settlements))
        for settlement in event.settlements:
            if isinstance(settlement.outcome, Retry):
                for one in self._on_retry:
                    self._start(one, one.after_retry(settlement.task, settlement.outcome))

    def _start(self, middleware: Middleware, hook: Awaitable[None]) -> None:
        task = asyncio.ensure_future(self._contained(middleware, hook))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _contained(self, middleware: Middleware, hook: Awaitable[None]) -> None:
        try:
            await hook
        except Exception as error:  # the user's code
            self._tell(middleware, error)

    def _tell(self, middleware: Middleware, error: Exception) -> None:
        self._events.emit(HookFailed(_name(middleware), error))


def _name(middleware: Middleware) -> str:
    return type(middleware).__qualname__
