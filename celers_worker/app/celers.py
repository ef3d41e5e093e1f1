"""Celers: what an application imports. It declares handlers and what surrounds them."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Mapping,
)
from typing import Any, TypeVar, Unpack, cast

from celers_worker.app.client import Client
from celers_worker.app.declared import DeclaredTask
from celers_worker.app.declaring import (
    TaskDecorator,
    check_backoff,
    check_concurrency,
    check_memory,
    check_positive,
    check_resources,
    check_soft_timeout,
    executor_of,
)
from celers_worker.app.defaults import Declarations, Defaults
from celers_worker.app.extensions import Extensions, as_context_manager, split_resources
from celers_worker.app.limiting import Name, limit_permit
from celers_worker.app.producer import Producer
from celers_worker.app.schedules import Schedules, Terms
from celers_worker.core.backoff import Backoff
from celers_worker.core.circuit import Circuit, check_circuit
from celers_worker.core.codec import CodecChoice, check_codec
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Executor, Handler, split_context
from celers_worker.core.middleware import (
    Middleware,
    Permit,
    PermitFunction,
    Resource,
)
from celers_worker.core.names import check_queue_name, check_task_name, versioned
from celers_worker.core.options import (
    check_max_retries,
    check_priority,
    check_timeout,
    check_ttl,
)
from celers_worker.core.retry import Errors, RetryPolicy, exception_classes
from celers_worker.core.routing import Route
from celers_worker.core.size import Size
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE

R = TypeVar("R")
MiddlewareT = TypeVar("MiddlewareT", bound=Middleware)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Celers(Producer):
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
        backoff: Backoff | str | None = None,
        retry_on: Errors | None = None,
        dead_on: Errors = (),
        backoff_on: Mapping[type[BaseException], Backoff | str] | None = None,
        concurrency: int | None = None,
        circuit: Circuit | int | None = None,
        runs: Executor | None = None,
        memory: Size | None = None,
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

        *max_retries*: runs after the first. *backoff*: how long they wait, such as
        ``backoff.exponential("2s")``, or its text. *retry_on*: only these exceptions are retried;
        *dead_on*: these never are. *backoff_on*: waits for single exceptions. *concurrency*: how
        many of its tasks one worker runs at a time. *circuit*: after so many failures its tasks
        are held everywhere, until one that is tried completes; see ``core.circuit``. *runs*:
        coroutines on the event loop, plain functions in threads; "process": either kind in a
        process of its own, which is killed at its timeout, and when it uses more *memory* ("512MB")
        than that; see docs/handlers.md. *soft_timeout*: after it ``context.stopped`` is true.
        *permit*: an async context manager of the context, around each run; it may raise Snooze,
        Retry, Cancel, Dead or Complete instead of letting the task run. *version*: of its
        arguments; tasks of another version are not its. *raises*: exceptions that whoever waits for
        a result is given as they were. *result_ttl*: how long results are kept, 0 for not at all.
        *codec*: "raw" for bytes, or an object of yours; else JSON.

        *schedule* (a cron expression, on the clocks of *timezone*) or *every* enqueue the task
        without arguments, by a schedule that is called as the task; for more see ``schedule``.
        """
        policy = RetryPolicy(
            backoff=None if backoff is None else check_backoff(backoff),
            retry_on=(BaseException,) if retry_on is None else exception_classes(retry_on),
            dead_on=exception_classes(dead_on),
            on=tuple(
                (kind, check_backoff(wait, name=f"backoff_on[{kind.__name__}]"))
                for kind, wait in (backoff_on or {}).items()
            ),
        )

        def declare(function: Callable[..., Any]) -> DeclaredTask[..., Any]:
            signature, context_parameter = split_context(function)
            signature, resources = split_resources(signature)
            executor = executor_of(function, runs)
            handler = Handler(
                name=versioned(check_task_name(name or function.__name__), version),
                function=function,
                runs=executor,
                queue=check_queue_name(queue),
                priority=check_priority(priority) or 0,
                max_retries=cast(int, check_max_retries(max_retries)),
                timeout=check_timeout(timeout),
                retry=policy,
                concurrency=check_concurrency(concurrency),
                circuit=check_circuit(circuit),
                soft_timeout=check_soft_timeout(soft_timeout, timeout),
                memory=check_memory(memory, executor),
                permit=None if permit is None else as_context_manager(permit, "permit"),
                resources=check_resources(resources, executor, function.__qualname__),
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
        self.client.surround(self.extensions.middleware)
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

    @staticmethod
    def limit(
        name: Name,
        *,
        concurrency: int | None = None,
        rate: str | None = None,
        burst: int | None = None,
        again: Duration = "1s",
    ) -> Permit:
        """A permit that all workers of this database share: ``@app.task(permit=app.limit(…))``.

        *name*: of the limit; ``"tenant:{tenant}"`` makes one for each value of that argument, and a
        function of the context says it for each run. *concurrency*: so many of its tasks run at
        once. *rate*: so many start, ``"100/1m"``, of which up to *burst* (else all of them) at once
        after a quiet time. A task without room comes again after about *again*, or when the rate
        allows it; no attempt is counted.
        """
        checked = None if concurrency is None else check_positive("concurrency", concurrency)
        return limit_permit(
            name,
            concurrency=checked,
            rate=rate,
            burst=None if burst is None else check_positive("burst", burst),
            again=again,
        )

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
