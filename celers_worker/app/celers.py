"""Celers: declares handlers, enqueues tasks by reference or by name, looks tasks up."""

from __future__ import annotations

import asyncio
import inspect as introspection
import itertools
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast, overload
from uuid import UUID

from celers_worker.app.claims import Claims
from celers_worker.app.client import Client
from celers_worker.app.declared import Call, DeclaredTask
from celers_worker.app.handle import EnqueuedTask
from celers_worker.core.backoff import Backoff, exponential
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Context, Handler, Registry, split_context
from celers_worker.core.names import check_queue_name, check_task_name
from celers_worker.core.options import (
    Options,
    check_max_retries,
    check_priority,
    check_timeout,
)
from celers_worker.core.payload import encode_arguments
from celers_worker.core.retry import RetryPolicy
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE, Enqueued, NewTask

P = ParamSpec("P")
R = TypeVar("R")
Errors = type[BaseException] | Iterable[type[BaseException]]

#: Tasks that enqueue_many hands to the database at a time.
BATCH = 1_000


class _Decorator:
    """What ``app.task(…)`` returns; its overloads are what type checkers see."""

    def __init__(self, declare: Callable[[Callable[..., Any]], DeclaredTask[..., Any]]) -> None:
        self._declare = declare

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Awaitable[R]]
    ) -> DeclaredTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]]) -> DeclaredTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R]) -> DeclaredTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> DeclaredTask[P, R]: ...
    def __call__(self, function: Callable[..., Any]) -> DeclaredTask[..., Any]:
        return self._declare(function)


class Celers:
    """An application's tasks.

    Without a *url* the configuration names the database: flags, ``CELERS_DATABASE_URL``,
    ``celers.toml``, else a SQLite file ``celers.db``. Nothing is opened before it is needed.

    *engine* (SQLAlchemy's AsyncEngine) and *sync_engine* (its Engine) share the application's own
    connections with what it enqueues and asks, and are never closed here; see docs/backends.md.
    """

    def __init__(
        self, url: str | None = None, *, engine: Any = None, sync_engine: Any = None
    ) -> None:
        if url is not None and (engine, sync_engine) != (None, None):
            raise ConfigurationError("Celers() got a url and an engine: the engine has a URL.")
        self.registry = Registry()
        self.client = Client(url, engine=engine, sync_engine=sync_engine)

    # --- declare ---

    def task(
        self,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        max_retries: int = DEFAULT_MAX_RETRIES,
        timeout: Duration | None = None,
        backoff: Backoff | None = None,
        retry_on: Errors | None = None,
        dead_on: Errors = (),
        backoff_on: Mapping[type[BaseException], Backoff] | None = None,
        concurrency: int | None = None,
        runs: Literal["async", "thread"] | None = None,
    ) -> _Decorator:
        """Declare a handler.

        *max_retries*: runs after the first. *retry_on*: only these exceptions are retried;
        *dead_on*: these never are. *backoff_on*: waits for single exceptions. *concurrency*: how
        many of its tasks one worker runs at a time. *runs*: coroutines on the event loop, plain
        functions in threads.
        """
        policy = RetryPolicy(
            backoff=backoff or exponential(),
            retry_on=(BaseException,) if retry_on is None else _classes(retry_on),
            dead_on=_classes(dead_on),
            on=tuple((backoff_on or {}).items()),
        )

        def declare(function: Callable[..., Any]) -> DeclaredTask[..., Any]:
            signature, context_parameter = split_context(function)
            handler = Handler(
                name=check_task_name(name or function.__name__),
                function=function,
                runs=_executor(function, runs),
                queue=check_queue_name(queue),
                priority=check_priority(priority) or 0,
                max_retries=cast(int, check_max_retries(max_retries)),
                timeout=check_timeout(timeout),
                retry=policy,
                concurrency=_concurrency(concurrency),
                signature=signature,
                context_parameter=context_parameter,
            )
            self.registry.add(handler)
            return DeclaredTask(self.client, handler)

        return _Decorator(declare)

    # --- enqueue by name, for producers without the code ---

    async def enqueue(
        self, name: str, /, *, options: Options | None = None, **arguments: Any
    ) -> EnqueuedTask[Any]:
        """Add a task by name. If its handler is registered here, the arguments are checked."""
        added = await self.client.enqueue([self._call(name, options, arguments).task])
        return self._handle(added[0])

    def enqueue_sync(
        self, name: str, /, *, options: Options | None = None, **arguments: Any
    ) -> EnqueuedTask[Any]:
        """``enqueue`` without an event loop."""
        return self._handle(
            self.client.enqueue_sync([self._call(name, options, arguments).task])[0]
        )

    async def enqueue_many(
        self, calls: Iterable[Call[Any]] | AsyncIterable[Call[Any]]
    ) -> list[EnqueuedTask[Any]]:
        """Add many tasks, a thousand at a time, and return their handles in order.

        Each thousand is added as a whole or not at all. Raises PayloadError for a bad one before
        its thousand is written; those before it have been added then.
        """
        added: list[Enqueued] = []
        writing: asyncio.Task[list[Enqueued]] | None = None
        try:
            async for batch in _batches(calls):
                if writing is not None:
                    added += await writing
                # The database writes these while the next are made.
                writing = asyncio.create_task(self.client.enqueue(batch))
                await asyncio.sleep(0)
            if writing is not None:
                added += await writing
        except BaseException as error:
            if writing is not None:
                if isinstance(error, asyncio.CancelledError):
                    writing.cancel()
                await asyncio.wait({writing})
            raise
        return [self._handle(one) for one in added]

    def enqueue_many_sync(self, calls: Iterable[Call[Any]]) -> list[EnqueuedTask[Any]]:
        """``enqueue_many`` without an event loop."""
        added = [self.client.enqueue_sync(batch) for batch in _batches_sync(calls)]
        return [self._handle(one) for one in itertools.chain.from_iterable(added)]

    def task_by_id(self, task_id: UUID | str) -> EnqueuedTask[Any]:
        """A handle on a task enqueued earlier or elsewhere. Raises ValueError for no UUID."""
        return EnqueuedTask(
            task_id if isinstance(task_id, UUID) else UUID(task_id), _client=self.client
        )

    # --- below a worker, for who writes a loop of their own ---

    def claims(
        self,
        *,
        queues: Iterable[str] | None = None,
        lease: Duration = "30s",
        name: str | None = None,
    ) -> Claims:
        """Claim and settle tasks one by one, ``async with``; see ``app.claims``.

        *queues*: None serves all. *lease*: how long after the last ``next`` or ``extend`` what is
        claimed may run before it is given to others. *name*: a label in ``celers workers list``.
        """
        return Claims(self.client, self.registry, queues=queues, lease=lease, name=name)

    async def close(self) -> None:
        """Close this loop's connections."""
        await self.client.close()

    def close_sync(self) -> None:
        """Close the connections of the synchronous calls."""
        self.client.close_sync()

    # --- inside ---

    def _call(self, name: str, options: Options | None, arguments: Mapping[str, Any]) -> Call[Any]:
        handler = self.registry.get(name)
        if handler is not None:
            handler = self.client.configured(handler)
            arguments = handler.check_arguments((), arguments)
        payload = encode_arguments(arguments)
        return Call((options or Options()).task(name, payload, handler))

    def _handle(self, added: Enqueued) -> EnqueuedTask[Any]:
        return EnqueuedTask(added.id, added.existing, _client=self.client)


async def _batches(
    calls: Iterable[Call[Any]] | AsyncIterable[Call[Any]],
) -> AsyncIterator[list[NewTask]]:
    if not isinstance(calls, AsyncIterable):
        for batch in _batches_sync(calls):
            yield batch
        return
    batch = []
    async for call in calls:
        batch.append(call.task)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _batches_sync(calls: Iterable[Call[Any]]) -> Iterator[list[NewTask]]:
    left = iter(calls)
    while batch := [call.task for call in itertools.islice(left, BATCH)]:
        yield batch


def _classes(errors: Errors) -> tuple[type[BaseException], ...]:
    found = (errors,) if isinstance(errors, type) else tuple(errors)
    for one in found:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise ConfigurationError(f"{one!r} is no exception class.")
    return found


def _executor(function: Callable[..., Any], wanted: str | None) -> Literal["async", "thread"]:
    is_async = introspection.iscoroutinefunction(function)
    if wanted not in (None, "async", "thread"):
        raise ConfigurationError(f'runs is {wanted!r}: it must be "async" or "thread".')
    if wanted == "async" and not is_async:
        raise ConfigurationError(
            f'{function.__qualname__} is no coroutine function, so it cannot have runs="async".'
        )
    if wanted == "thread" and is_async:
        raise ConfigurationError(
            f'{function.__qualname__} is a coroutine function, so it cannot have runs="thread".'
        )
    return "async" if is_async else "thread"


def _concurrency(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ConfigurationError(f"concurrency is {value!r}: it must be a whole number from 1.")
