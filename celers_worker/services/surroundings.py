"""Surroundings: what stands around a handler in this worker, composed once at its start."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from celers_worker.core.context import Context
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler
from celers_worker.core.middleware import Around, Middleware, Next, Permit, composed
from celers_worker.core.names import nearest


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
