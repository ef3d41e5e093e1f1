"""What ``@app.task`` makes of a function: still that function, and a way to enqueue its tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, ParamSpec, TypeVar

import msgspec

from celers_worker.app.client import Client
from celers_worker.app.handle import EnqueuedTask
from celers_worker.app.workflow.elements import Group, Step
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler
from celers_worker.core.options import Options
from celers_worker.core.task import NewTask

P = ParamSpec("P")
R = TypeVar("R")


class Call(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """A task that is not enqueued yet, for ``enqueue_many``."""

    task: NewTask


class DeclaredTask(Generic[P, R]):
    """A task declared by ``@app.task``. Calling it calls the function, here and now."""

    def __init__(
        self,
        client: Client,
        handler: Handler,
        *,
        options: Options | None = None,
        session: Any = None,
    ) -> None:
        self.handler = handler
        self._client = client
        self._options = options or Options()
        self._session = session
        self.__doc__ = handler.function.__doc__
        self.__name__ = handler.name
        self.__wrapped__ = handler.function

    @property
    def name(self) -> str:
        """The name its tasks have in the database."""
        return self.handler.name

    @property
    def client(self) -> Client:
        """What its application asks the database by."""
        return self._client

    @property
    def options(self) -> Options:
        """What ``with_`` has set."""
        return self._options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, here and now; a context is the caller's to pass."""
        return self.handler.function(*args, **kwargs)

    def with_(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        delay: Duration | None = None,
        at: datetime | None = None,
        timeout: Duration | None = None,
        expires: Duration | None = None,
        unique_key: str | None = None,
        fingerprint: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        unique_for: Duration | None = None,
        on_conflict: Literal["return", "replace", "raise"] | None = None,
        debounce: Duration | None = None,
        debounce_max: Duration | None = None,
        tags: Sequence[str] | None = None,
    ) -> DeclaredTask[P, R]:
        """The same task with options for the next enqueue; see ``core.options.Options``."""
        options = Options(
            queue=queue,
            priority=priority,
            max_retries=max_retries,
            delay=delay,
            at=at,
            timeout=timeout,
            expires=expires,
            unique_key=unique_key,
            fingerprint=fingerprint,
            metadata=metadata,
            unique_for=unique_for,
            on_conflict=on_conflict,
            debounce=debounce,
            debounce_max=debounce_max,
            tags=tags,
        )
        return self._copy(options=options.over(self._options))

    def using(self, session: Any) -> DeclaredTask[P, R]:
        """The same task, enqueued in the caller's own transaction: both commit, or neither.

        *session*: a SQLAlchemy Session, AsyncSession, Connection or AsyncConnection, or a
        connection of psycopg, asyncpg, PyMySQL, asyncmy or sqlite3 itself, in a transaction.
        """
        return self._copy(session=session)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> EnqueuedTask[R]:
        """Add a task and return a handle on it. Raises PayloadError before anything is written."""
        tasks = [self.call(*args, **kwargs).task]
        added = await self._client.enqueue(tasks, self._session)
        return EnqueuedTask(added[0].id, self._client, added[0].existing)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> EnqueuedTask[R]:
        """``enqueue`` without an event loop: for Django, Flask, scripts."""
        tasks = [self.call(*args, **kwargs).task]
        added = self._client.enqueue_sync(tasks, self._session)
        return EnqueuedTask(added[0].id, self._client, added[0].existing)

    async def enqueue_at(
        self, when: datetime, /, *args: P.args, **kwargs: P.kwargs
    ) -> EnqueuedTask[R]:
        """Add a task that is due at *when*, an aware datetime; a past one is due now."""
        return await self._copy(options=self._options.due_at(when)).enqueue(*args, **kwargs)

    def enqueue_at_sync(
        self, when: datetime, /, *args: P.args, **kwargs: P.kwargs
    ) -> EnqueuedTask[R]:
        """``enqueue_at`` without an event loop."""
        return self._copy(options=self._options.due_at(when)).enqueue_sync(*args, **kwargs)

    async def enqueue_after(
        self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs
    ) -> EnqueuedTask[R]:
        """Add a task that is due after *delay*, such as "10m", by the database's clock."""
        return await self._copy(options=self._options.due_after(delay)).enqueue(*args, **kwargs)

    def enqueue_after_sync(
        self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs
    ) -> EnqueuedTask[R]:
        """``enqueue_after`` without an event loop."""
        return self._copy(options=self._options.due_after(delay)).enqueue_sync(*args, **kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """A task to enqueue with others; see ``Celers.enqueue_many``."""
        handler = self._client.configured(self.handler)
        payload = handler.encode_arguments(args, kwargs)
        return Call(self._options.task(handler.name, payload, handler))

    def step(self, *args: Any, **kwargs: Any) -> Step[R]:
        """A step of a workflow: a call of which some arguments are results of other steps.

        Raises PayloadError for arguments that the handler does not have.
        """
        handler = self._client.configured(self.handler)
        given = handler.encode_some_arguments(args, kwargs)
        return Step(self._options.task(handler.name, given, handler), handler)

    def map(self, items: Iterable[Any]) -> Group[R]:
        """Steps side by side, one for each item, which is its first argument."""
        return Group(tuple(self.step(item) for item in items))

    def starmap(self, rows: Iterable[Iterable[Any] | Mapping[str, Any]]) -> Group[R]:
        """Steps side by side, one for each row of arguments: in their order, or by name."""
        return Group(
            tuple(self.step(**row) if isinstance(row, Mapping) else self.step(*row) for row in rows)
        )

    def chunks(self, items: Iterable[Any], size: int) -> Group[R]:
        """Steps side by side, each with a list of up to *size* items as its first argument."""
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigurationError(f"size is {size!r}: it must be a whole number from 1.")
        left = iter(items)
        cut = iter(lambda: list(itertools.islice(left, size)), [])
        return Group(tuple(self.step(chunk) for chunk in cut))

    def _copy(self, *, options: Options | None = None, session: Any = None) -> DeclaredTask[P, R]:
        return DeclaredTask(
            self._client,
            self.handler,
            options=options or self._options,
            session=session or self._session,
        )

    def __repr__(self) -> str:
        return f"<task {self.name!r} of queue {self.handler.queue!r}>"
