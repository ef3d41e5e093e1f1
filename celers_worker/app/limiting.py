"""Limits over all workers, as permits of handlers and queues: ``permit=app.limit(…)``."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from celers_worker.core.context import Context
from celers_worker.core.duration import Duration, parse_duration
from celers_worker.core.errors import ConfigurationError, Unavailable
from celers_worker.core.limit import Limit, check_limit_name, parse_rate
from celers_worker.core.middleware import Permit
from celers_worker.core.payload import decode_arguments
from celers_worker.core.signals import Dead, Snooze

#: The name of a limit; with ``{argument}`` in it one for each value; or what tells it of a run.
Name: TypeAlias = str | Callable[[Context], str]


def limit_permit(
    name: Name,
    *,
    concurrency: int | None,
    rate: str | None,
    burst: int | None,
    again: Duration,
) -> Permit:
    """See ``Celers.limit``. Raises ConfigurationError."""
    if concurrency is None and rate is None:
        raise ConfigurationError("a limit needs concurrency=, or rate=, or both.")
    if burst is not None and rate is None:
        raise ConfigurationError("burst goes with rate=: how many runs may come at once.")
    read = None if rate is None else parse_rate(rate)
    pause = parse_duration(again, name="again").total_seconds()
    if isinstance(name, str):
        check_limit_name(name)

    @asynccontextmanager
    async def permit(context: Context) -> AsyncIterator[None]:
        limit = Limit(
            name=check_limit_name(_name_for(context, name)),
            concurrency=concurrency,
            interval=None if read is None else read.interval,
            burst=burst or (1 if read is None else read.count),
        )
        try:
            wait = await context.take(limit)
        except Unavailable as error:  # not the handler's failure
            raise Snooze(pause, f"the limit {limit.name!r} could not be asked: {error}") from error
        if wait is not None:
            # Not all of them at the same moment again.
            raise Snooze(wait + random.uniform(0.5, 1.5) * pause, f"limit {limit.name!r} reached")
        yield

    return permit


def _name_for(context: Context, name: Name) -> str:
    if not isinstance(name, str):
        return name(context)
    if "{" not in name:
        return name
    _, arguments = decode_arguments(context.task.payload)
    try:
        return name.format_map(arguments)
    except (KeyError, IndexError, ValueError) as error:
        raise Dead(  # another attempt would not have them either
            f"the limit {name!r} cannot be named for task {context.task.id}, whose arguments by "
            f"name are {', '.join(arguments) or 'none'}: {type(error).__name__}: {error}"
        ) from error
