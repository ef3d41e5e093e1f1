"""What an application may put around its handlers, beside their own code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence, Set
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from celers_worker.core.outcome import Dead, Retry, Settlement
from celers_worker.core.task import Demand, NewTask, Task

if TYPE_CHECKING:
    from celers_worker.core.context import Context

#: The rest of the way to the handler, and the handler; returns what it returns.
Next: TypeAlias = Callable[[], Awaitable[Any]]
#: The claim, or the settle, with what is around it further inside.
ClaimNext: TypeAlias = Callable[[], Awaitable[Sequence[Task]]]
SettleNext: TypeAlias = Callable[[], Awaitable[Set[UUID]]]
Around: TypeAlias = "Callable[[Context, Next], Awaitable[Any]]"
#: Room for one run of a handler, taken for its whole time. To raise Snooze, Retry, Cancel, Dead or
#: Complete instead of giving room is the verdict about the task.
Permit: TypeAlias = "Callable[[Context], AbstractAsyncContextManager[object]]"
PermitFunction: TypeAlias = "Callable[[Context], AsyncIterator[object]]"


class Middleware:
    """Hooks around every task of an application; override those you need.

    The first that was registered is the outermost: it sees tasks first on their way to the
    database and to the handler, and results last.
    """

    def before_enqueue(self, tasks: Sequence[NewTask]) -> Sequence[NewTask]:
        """Return what to enqueue for *tasks*, one for each, in their order.

        A plain function, for it also serves callers without a loop. What it raises, the caller of
        ``enqueue`` gets, and nothing was written.
        """
        return tasks

    def around_enqueue(self, tasks: Sequence[NewTask]) -> AbstractContextManager[object]:
        """A context manager around the writing of *tasks*, as ``before_enqueue`` has left them.

        A plain one, for callers with and without a loop. It sees what the write raises. What it
        raises itself goes to the caller of ``enqueue``, at its end though the tasks are written.
        """
        return nullcontext()

    async def around_claim(self, demand: Demand, call_next: ClaimNext) -> object:
        """Claim by ``await call_next()``, which gives the tasks; without it nothing is claimed.

        What was claimed is run whatever this returns or raises. What it raises is logged.
        """
        return await call_next()

    async def around_run(self, context: Context, call_next: Next) -> Any:
        """Run the task by ``await call_next()``, and return its result.

        On the event loop, also for handlers in threads. What it raises is the run's exception: it
        is retried or dies as the handler says, unless the handler had completed its task by itself.
        """
        return await call_next()

    def before_retry(self, task: Task, retry: Retry) -> Retry | Dead:
        """Return what becomes of a failed run that would be retried: *retry*, or another, or Dead.

        ``Retry(delay, retry.failure)`` waits as long as you say, ``Dead("why", retry.failure)``
        gives up. A plain function on the event loop; what it raises is logged, and *retry* stands.
        """
        return retry

    async def around_settle(
        self, settlements: Sequence[Settlement], call_next: SettleNext
    ) -> object:
        """Write outcomes by ``await call_next()``, which gives the ids that were written.

        Those that are missing came from a lease that was lost. They are written whatever this
        does; what it raises is logged.
        """
        return await call_next()

    async def after_claim(self, tasks: Sequence[Task]) -> None:
        """Learn that this worker has claimed *tasks*. What it raises is logged, no more."""

    async def after_retry(self, task: Task, retry: Retry) -> None:
        """Learn that a run failed and will be repeated. What it raises is logged, no more."""

    async def after_settle(self, settlements: Sequence[Settlement]) -> None:
        """Learn what was written of runs that ended. What it raises is logged, no more."""

    def overrides(self, hook: str) -> bool:
        """Whether this one has a *hook* of its own: the others cost nothing."""
        return getattr(type(self), hook) is not getattr(Middleware, hook)


@dataclass(frozen=True, slots=True)
class Resource:
    """The default of a parameter that the application's lifespan fills; see ``Celers.resource``."""

    name: str | None = None


def preparing(
    middleware: Sequence[Middleware],
) -> Callable[[Sequence[NewTask]], Sequence[NewTask]] | None:
    """All ``before_enqueue`` in one function; None if there are none."""
    hooks = [one.before_enqueue for one in middleware if one.overrides("before_enqueue")]
    if not hooks:
        return None

    def prepare(tasks: Sequence[NewTask]) -> Sequence[NewTask]:
        for hook in hooks:
            prepared = hook(tasks)
            if len(prepared) != len(tasks):
                raise ValueError(
                    f"{hook.__qualname__} returned {len(prepared)} tasks for {len(tasks)}: "
                    "return one for each, or raise to refuse them."
                )
            tasks = prepared
        return tasks

    return prepare


#: Around the writing of tasks.
Enqueuing: TypeAlias = Callable[[Sequence[NewTask]], AbstractContextManager[object]]


def enqueuing(middleware: Sequence[Middleware]) -> Enqueuing:
    """All ``around_enqueue`` in one, the first outermost."""
    hooks = [one.around_enqueue for one in middleware if one.overrides("around_enqueue")]

    @contextmanager
    def around(tasks: Sequence[NewTask]) -> Iterator[None]:
        with ExitStack() as stack:
            for hook in hooks:
                stack.enter_context(hook(tasks))
            yield

    return around if hooks else unsurrounded


def unsurrounded(tasks: Sequence[NewTask]) -> AbstractContextManager[object]:
    """Nothing around the writing of tasks."""
    return _NOTHING


_NOTHING: AbstractContextManager[object] = nullcontext()


def composed(arounds: Sequence[Around]) -> Around | None:
    """One around of many, the first outermost; None if there are none."""
    if not arounds:
        return None
    first, rest = arounds[0], composed(arounds[1:])
    if rest is None:
        return first

    async def around(context: Context, call_next: Next) -> Any:
        return await first(context, lambda: rest(context, call_next))

    return around
