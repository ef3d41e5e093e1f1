"""Celers: declares handlers, enqueues tasks by reference or by name, looks tasks up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from datetime import datetime
from typing import Any, Literal, TypeVar, Unpack, cast
from uuid import UUID

from celers_worker.app import results
from celers_worker.app.cancelling import (
    BY_PRODUCER,
    CancelledMany,
    cancel_many,
    cancel_many_sync,
    chosen_tasks,
)
from celers_worker.app.claims import Claims
from celers_worker.app.client import Client
from celers_worker.app.declared import Call, DeclaredTask
from celers_worker.app.declaring import (
    TaskDecorator,
    check_concurrency,
    check_positive,
    check_soft_timeout,
    executor_of,
)
from celers_worker.app.defaults import Declarations, Defaults
from celers_worker.app.ended import TaskStatus
from celers_worker.app.extensions import Extensions, as_context_manager, split_resources
from celers_worker.app.handle import EnqueuedTask
from celers_worker.app.inspection import Inspection
from celers_worker.app.piping import Pipe, Piped, batches, batches_sync
from celers_worker.app.results import TaskId
from celers_worker.app.schedules import Schedules, Terms
from celers_worker.app.workflow.elements import Element, Part, Step
from celers_worker.app.workflow.handle import EnqueuedWorkflow
from celers_worker.app.workflow.whole import Workflow
from celers_worker.core.backoff import Backoff
from celers_worker.core.codec import CodecChoice, check_codec
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler, split_context
from celers_worker.core.middleware import (
    Middleware,
    Permit,
    PermitFunction,
    Resource,
    preparing,
)
from celers_worker.core.names import check_queue_name, check_task_name, versioned
from celers_worker.core.options import (
    Options,
    check_max_retries,
    check_priority,
    check_timeout,
    check_ttl,
)
from celers_worker.core.payload import encode_arguments
from celers_worker.core.retry import Errors, RetryPolicy, exception_classes
from celers_worker.core.routing import Route
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE, Enqueued

R = TypeVar("R")
MiddlewareT = TypeVar("MiddlewareT", bound=Middleware)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


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
        self.client = Client(url, engine=engine, sync_engine=sync_engine)
        self.extensions = Extensions()
        self.registry = self.client.registry
        self.schedules = Schedules(self.registry, self.client)

    # --- declare ---

    def task(
        self,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        max_retries: int = DEFAULT_MAX_RETRIES,
        timeout: Duration | None = None,
        soft_timeout: Duration | None = None,
        backoff: Backoff | None = None,
        retry_on: Errors | None = None,
        dead_on: Errors = (),
        backoff_on: Mapping[type[BaseException], Backoff] | None = None,
        concurrency: int | None = None,
        runs: Literal["async", "thread"] | None = None,
        permit: Permit | PermitFunction | None = None,
        version: int = 1,
        raises: Errors = (),
        result_ttl: Duration | None = None,
        codec: CodecChoice = None,
        schedule: str | None = None,
        every: Duration | None = None,
        timezone: str | None = None,
    ) -> TaskDecorator:
        """Declare a handler.

        *max_retries*: runs after the first. *retry_on*: only these exceptions are retried;
        *dead_on*: these never are. *backoff_on*: waits for single exceptions. *concurrency*: how
        many of its tasks one worker runs at a time. *runs*: coroutines on the event loop, plain
        functions in threads. *soft_timeout*: after it ``context.stopped`` is true. *permit*: an
        async context manager of the context, around each run; it may raise Snooze, Retry, Cancel,
        Dead or Complete instead of letting the task run. *version*: of its arguments; tasks of
        another version are not its. *raises*: exceptions that whoever waits for a result is given
        as they were. *result_ttl*: how long results are kept, 0 for not at all. *codec*: "raw" for
        bytes, or an object of yours; else JSON.

        *schedule* (a cron expression, on the clocks of *timezone*) or *every* enqueue the task
        without arguments, by a schedule that is called as the task; for more see ``schedule``.
        """
        policy = RetryPolicy(
            backoff=backoff,
            retry_on=(BaseException,) if retry_on is None else exception_classes(retry_on),
            dead_on=exception_classes(dead_on),
            on=tuple((backoff_on or {}).items()),
        )

        def declare(function: Callable[..., Any]) -> DeclaredTask[..., Any]:
            signature, context_parameter = split_context(function)
            signature, resources = split_resources(signature)
            handler = Handler(
                name=versioned(check_task_name(name or function.__name__), version),
                function=function,
                runs=executor_of(function, runs),
                queue=check_queue_name(queue),
                priority=check_priority(priority) or 0,
                max_retries=cast(int, check_max_retries(max_retries)),
                timeout=check_timeout(timeout),
                retry=policy,
                concurrency=check_concurrency(concurrency),
                soft_timeout=check_soft_timeout(soft_timeout, timeout),
                permit=None if permit is None else as_context_manager(permit, "permit"),
                resources=resources,
                signature=signature,
                context_parameter=context_parameter,
                raises=exception_classes(raises, of=Exception),
                result_ttl=check_ttl(result_ttl),
                codec=check_codec(codec),
            )
            self.registry.add(handler)
            task: DeclaredTask[..., Any] = DeclaredTask(self.client, handler)
            timing = {"cron": schedule, "every": every, "timezone": timezone}
            given = {term: value for term, value in timing.items() if value is not None}
            if given:
                self.schedules.declare(handler.name, task, **cast(Terms, given))
            return task

        return TaskDecorator(declare)

    def defaults(self, **declarations: Unpack[Declarations]) -> Defaults:
        """Declarations for several tasks: ``emails = app.defaults(queue="emails", …)``."""
        return Defaults(self, declarations)

    # --- what surrounds the handlers ---

    def middleware(self, middleware: MiddlewareT) -> MiddlewareT:
        """Put *middleware* around every task; the first one is the outermost."""
        if not isinstance(middleware, Middleware):
            raise ConfigurationError(
                f"{middleware!r} is no middleware: pass an instance of a subclass of "
                "celers_worker.Middleware."
            )
        self.extensions.middleware.append(middleware)
        self.client.prepare = preparing(self.extensions.middleware)
        return middleware

    def lifespan(self, function: FunctionT) -> FunctionT:
        """Open resources before a worker claims, and close them after its last run.

        An async function with one ``yield`` of the resources by name. If it fails, the worker does
        not start. Several are opened in the order of their declaration.
        """
        self.extensions.lifespans.append(as_context_manager(function, "lifespan"))
        return function

    @staticmethod
    def resource(name: str | None = None) -> Any:
        """The default of a parameter that a lifespan fills: ``pool: Pool = app.resource()``.

        *name*: of the resource, if it is not the parameter's. Producers do not pass it.
        """
        return Resource(name)

    def permit(self, queue: str) -> Callable[[FunctionT], FunctionT]:
        """Declare a permit around every run of a task of *queue*; see ``task``."""

        def declare(function: FunctionT) -> FunctionT:
            name = check_queue_name(queue)
            if name in self.extensions.permits:
                raise ConfigurationError(f"queue {name!r} has two permits: remove one.")
            self.extensions.permits[name] = as_context_manager(function, "permit")
            return function

        return declare

    def route(self, pattern: str, queue: str) -> None:
        """Send the tasks whose name is or matches *pattern* (``reports.*``) to *queue*.

        The first rule that matches wins; those of ``[routes]`` come before those in code. A queue
        that an enqueue names goes before all rules.
        """
        self.client.add_route(Route(pattern, queue))

    def queue_capacity(self, queue: str, capacity: int) -> None:
        """Let at most *capacity* tasks wait in *queue*; an enqueue beyond raises QueueFull.

        ``capacity`` in ``[queues.NAME]`` of the configuration goes before it.
        """
        self.client.add_capacity(check_queue_name(queue), check_positive("capacity", capacity))

    def schedule(
        self, name: str, task: str | DeclaredTask[..., Any], /, **terms: Unpack[Terms]
    ) -> None:
        """Declare that *task* is enqueued again and again, by a schedule called *name*.

        ``cron="30 2 * * *", timezone="Europe/Berlin"`` or ``every="15m"``; ``arguments`` is a
        mapping. Each tick is enqueued at most once, however many workers run. Where clocks change,
        a time of day fires exactly once a day, and what follows the clock (``*/15``) follows it;
        core.cron has the rule. [schedules.NAME] of the configuration goes before the code. For
        schedules that come and go while the application runs, see ``schedules.add``.
        """
        self.schedules.declare(name, task, **terms)

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

    async def enqueue_at(
        self, when: datetime, name: str, /, *, options: Options | None = None, **arguments: Any
    ) -> EnqueuedTask[Any]:
        """Add a task by name that is due at *when*, an aware datetime; a past one is due now."""
        due = (options or Options()).due_at(when)
        return await self.enqueue(name, options=due, **arguments)

    def enqueue_at_sync(
        self, when: datetime, name: str, /, *, options: Options | None = None, **arguments: Any
    ) -> EnqueuedTask[Any]:
        """``enqueue_at`` without an event loop."""
        return self.enqueue_sync(name, options=(options or Options()).due_at(when), **arguments)

    async def enqueue_after(
        self, delay: Duration, name: str, /, *, options: Options | None = None, **arguments: Any
    ) -> EnqueuedTask[Any]:
        """Add a task by name that is due after *delay*, such as "10m", by the database's clock."""
        due = (options or Options()).due_after(delay)
        return await self.enqueue(name, options=due, **arguments)

    def enqueue_after_sync(
        self, delay: Duration, name: str, /, *, options: Options | None = None, **arguments: Any
    ) -> EnqueuedTask[Any]:
        """``enqueue_after`` without an event loop."""
        return self.enqueue_sync(name, options=(options or Options()).due_after(delay), **arguments)

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
            async for batch in batches(calls):
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
        added = [self.client.enqueue_sync(batch) for batch in batches_sync(calls)]
        return [self._handle(one) for one in itertools.chain.from_iterable(added)]

    # --- workflows ---

    def step(self, name: str, /, *, options: Options | None = None, **arguments: Any) -> Step[Any]:
        """A step of a workflow by the name of its task, for producers without the code.

        If its handler is not registered here, the result of what comes before is its first
        positional argument, unless ``into`` names it.
        """
        handler = self.registry.get(name)
        if handler is None:
            payload = encode_arguments(arguments)
        else:
            handler = self.client.configured(handler)
            payload = handler.encode_some_arguments((), arguments)
        return Step((options or Options()).task(name, payload, handler), handler)

    def workflow(
        self,
        element: Element[R],
        *,
        name: str = "",
        timeout: Duration | None = None,
        on_error: Part[Any] | None = None,
    ) -> Workflow[R]:
        """A chain, a group or a graph, to be enqueued as one: ``await app.workflow(…).enqueue()``.

        *timeout*: how long it may take from its enqueue on; then it is stopped and has failed.
        *on_error*: a step that runs when it has failed, with a description of the error.
        """
        return Workflow(self.client, element, name=name, timeout=timeout, on_error=on_error)

    def workflow_by_id(self, workflow_id: UUID | str) -> EnqueuedWorkflow[Any]:
        """A handle on a workflow enqueued earlier or elsewhere. Raises ValueError for no UUID."""
        return EnqueuedWorkflow(
            workflow_id if isinstance(workflow_id, UUID) else UUID(workflow_id),
            _client=self.client,
        )

    async def pipe(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        task: DeclaredTask[..., Any] | str,
        *,
        linger: Duration = 1,
        wait: Duration = 0,
        progress: Callable[[Piped], None] | None = None,
    ) -> Piped:
        """Enqueue a task for each item of *source*, in bounded memory; see ``app.piping``."""
        call = self._caller(task)
        pipe = Pipe(self.client, call, linger=linger, wait=wait, progress=progress)
        return await pipe.drain(source)

    async def cancel_many(
        self,
        *,
        tag: str | None = None,
        fingerprint: str | None = None,
        name: str | None = None,
        queue: str | None = None,
        reason: str = BY_PRODUCER,
    ) -> CancelledMany:
        """Cancel the live tasks for which all that is given holds.

        Waiting ones are cancelled, running ones are asked to stop. Raises ConfigurationError if
        nothing is given.
        """
        chosen = chosen_tasks(tag=tag, fingerprint=fingerprint, name=name, queue=queue)
        return await cancel_many(self.client, chosen, reason)

    def cancel_many_sync(
        self,
        *,
        tag: str | None = None,
        fingerprint: str | None = None,
        name: str | None = None,
        queue: str | None = None,
        reason: str = BY_PRODUCER,
    ) -> CancelledMany:
        """``cancel_many`` without an event loop."""
        chosen = chosen_tasks(tag=tag, fingerprint=fingerprint, name=name, queue=queue)
        return cancel_many_sync(self.client, chosen, reason)

    def task_by_id(self, task_id: UUID | str) -> EnqueuedTask[Any]:
        """A handle on a task enqueued earlier or elsewhere. Raises ValueError for no UUID."""
        return EnqueuedTask(
            task_id if isinstance(task_id, UUID) else UUID(task_id), _client=self.client
        )

    # --- results, by id and from any process ---

    async def result(self, task: TaskId, timeout: Duration = 60) -> Any:
        """Wait for a task by its id and return its result; see ``EnqueuedTask.result``."""
        return await results.result(self.client, task, timeout)

    def result_sync(self, task: TaskId, timeout: Duration = 60) -> Any:
        """``result`` without an event loop."""
        return results.result_sync(self.client, task, timeout)

    def wait_for(
        self, tasks: Iterable[TaskId], timeout: Duration | None = None
    ) -> AsyncGenerator[TaskStatus, None]:
        """Yield tasks, ids or handles, as they end: ``async for ended in app.wait_for(ids)``.

        Raises ResultTimeout when they have not all ended in time; it names the others.
        """
        return results.wait_for(self.client, tasks, timeout)

    def wait_for_sync(
        self, tasks: Iterable[TaskId], timeout: Duration | None = None
    ) -> Iterator[TaskStatus]:
        """``wait_for`` without an event loop."""
        return results.wait_for_sync(self.client, tasks, timeout)

    async def check_status(self, tasks: Iterable[TaskId]) -> dict[UUID, TaskStatus]:
        """How tasks are now, by id, those that have not ended too; without waiting."""
        return await results.check_status(self.client, tasks)

    def check_status_sync(self, tasks: Iterable[TaskId]) -> dict[UUID, TaskStatus]:
        """``check_status`` without an event loop."""
        return results.check_status_sync(self.client, tasks)

    @property
    def inspect(self) -> Inspection:
        """What there is to see of tasks, queues and workers."""
        return Inspection(self.client)

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
        options = options or Options()
        handler = self.registry.get(name)
        if handler is not None:
            handler = self.client.configured(handler)
            payload = handler.encode_arguments((), arguments)
        else:
            payload = encode_arguments(arguments, limit=self.client.config.limits.arguments)
            options = self.client.routed(name, options)
        return Call(options.task(name, payload, handler))

    def _caller(self, task: DeclaredTask[..., Any] | str) -> Callable[..., Call[Any]]:
        if isinstance(task, str):
            name = check_task_name(task)
            return lambda **arguments: self._call(name, None, arguments)
        return task.call

    def _handle(self, added: Enqueued) -> EnqueuedTask[Any]:
        return EnqueuedTask(added.id, added.existing, _client=self.client)
