"""Surroundings: what stands around a handler in this worker, composed once at its start."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from celers_worker.core.context import Context
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.events import Events, HookFailed, TasksClaimed, TasksSettled
from celers_worker.core.handler import Handler
from celers_worker.core.middleware import Around, Middleware, Next, Permit, composed
from celers_worker.core.names import nearest
from celers_worker.core.outcome import Retry

#: How long hooks that still run when the worker has stopped are waited for, in seconds.
_LAST_HOOKS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an application has registered, and its lifespan opened."""

    middleware: Sequence[Middleware] = ()
    permits: Mapping[str, Permit] = field(default_factory=dict)
    """By queue."""
    resources: Mapping[str, Any] = field(default_factory=dict)

    def of(self, handler: Handler) -> Handler:
        """*handler* with its resources filled in, and everything around it composed.

        From outside in: the permits of the queue and of the handler, the middleware in the order
        of its registration, the soft timeout. Raises ConfigurationError for a missing resource.
        """
        arounds: list[Around] = []
        if self.permits:
            arounds.append(self._within_queue)
        if handler.permit is not None:
            arounds.append(_within(handler.permit))
        arounds += [one.around_run for one in self.middleware if one.overrides("around_run")]
        # That of a process runs from when it calls the handler; see services.runner.
        if handler.soft_timeout is not None and handler.runs != "process":
            arounds.append(_warned_after(handler.soft_timeout.total_seconds()))
        if not arounds and not handler.resources:
            return handler
        return replace(handler, around=composed(arounds), function=self._filled(handler))

    async def _within_queue(self, context: Context, call_next: Next) -> Any:
        permit = self.permits.get(context.queue)
        return await (call_next() if permit is None else _within(permit)(context, call_next))

    def _filled(self, handler: Handler) -> Any:
        if not handler.resources:
            return handler.function
        for name in handler.resources.values():
            if name not in self.resources:
                known = ", ".join(sorted(self.resources)) or "nothing: declare one by @app.lifespan"
                raise ConfigurationError(
                    f"{handler.place}: {handler.name} wants the resource {name!r}, but the "
                    f"application's lifespan yields {known}.{nearest(name, self.resources)}"
                )
        given = {key: self.resources[name] for key, name in handler.resources.items()}
        return functools.partial(handler.function, **given)


def _within(permit: Permit) -> Around:
    async def around(context: Context, call_next: Next) -> Any:
        async with permit(context):
            return await call_next()

    return around


def _warned_after(seconds: float) -> Around:
    async def around(context: Context, call_next: Next) -> Any:
        warning = asyncio.get_running_loop().call_later(seconds, context.stop)
        try:
            return await call_next()
        finally:
            warning.cancel()

    return around


class Hooks:
    """Tells middleware of what has happened. What a hook raises changes nothing of it."""

    def __init__(self, events: Events, middleware: Sequence[Middleware]) -> None:
        self._events = events
        self._running: set[asyncio.Task[None]] = set()
        self._on_claim = [one for one in middleware if one.overrides("after_claim")]
        self._on_retry = [one for one in middleware if one.overrides("after_retry")]
        self._on_settle = [one for one in middleware if one.overrides("after_settle")]
        if self._on_claim:
            events.listen(TasksClaimed, self._claimed)
        if self._on_retry or self._on_settle:
            events.listen(TasksSettled, self._settled)

    async def close(self) -> None:
        """Wait for the last hooks, not for ever."""
        if self._running:
            await asyncio.wait(self._running, timeout=_LAST_HOOKS)
        for task in self._running:
            task.cancel()

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
        except Exception as error:
            self._events.emit(HookFailed(type(middleware).__qualname__, error))
