"""Producer: what an application asks for: enqueues by name, waits, looks tasks up."""

from __future__ import annotations

import itertools
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Generator,
    Iterable,
    Mapping,
)
from datetime import datetime
from typing import Any, TypeVar
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
from celers_worker.app.ended import TaskStatus
from celers_worker.app.handle import EnqueuedTask
from celers_worker.app.inspection import Inspection
from celers_worker.app.piping import Pipe, Piped, batches, batches_sync, written_meanwhile
from celers_worker.app.results import TaskId
from celers_worker.app.workflow.elements import Element, Part, Step
from celers_worker.app.workflow.handle import EnqueuedWorkflow
from celers_worker.app.workflow.whole import Workflow
from celers_worker.core.duration import Duration
from celers_worker.core.middleware import (
    Middleware,
)
from celers_worker.core.names import check_task_name
from celers_worker.core.options import (
    Options,
)
from celers_worker.core.payload import encode_arguments
from celers_worker.core.registry import Registry
from celers_worker.core.task import Enqueued

R = TypeVar("R")
MiddlewareT = TypeVar("MiddlewareT", bound=Middleware)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Producer:
    """Everything about tasks that needs no declared handlers; ``Celers`` declares them too."""

    client: Client
    registry: Registry

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
        added = await written_meanwhile(batches(calls), self.client.enqueue)
        return [self._handle(one) for one in itertools.chain.from_iterable(added)]

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
        return EnqueuedTask(task_id if isinstance(task_id, UUID) else UUID(task_id), self.client)

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
    ) -> Generator[TaskStatus, None, None]:
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
        return EnqueuedTask(added.id, self.client, added.existing)
