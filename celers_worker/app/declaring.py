"""What ``app.task(…)`` returns, and how it checks what a task is declared with."""

from __future__ import annotations

import inspect as introspection
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from celers_worker.app.declared import DeclaredTask
from celers_worker.core.backoff import Backoff
from celers_worker.core.backoff_text import parse_backoff
from celers_worker.core.context import Context
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Executor
from celers_worker.core.options import check_timeout
from celers_worker.core.size import Size, parse_size

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator:
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
        """Declare *function*."""
        return self._declare(function)


def executor_of(function: Callable[..., Any], wanted: str | None) -> Executor:
    """Return where *function* runs, or raise ConfigurationError if it cannot run as *wanted*."""
    is_async = introspection.iscoroutinefunction(function)
    if wanted == "process":
        return "process"
    if wanted not in (None, "async", "thread"):
        raise ConfigurationError(f'runs is {wanted!r}: it must be "async", "thread" or "process".')
    if wanted == "async" and not is_async:
        raise ConfigurationError(
            f'{function.__qualname__} is no coroutine function, so it cannot have runs="async".'
        )
    if wanted == "thread" and is_async:
        raise ConfigurationError(
            f'{function.__qualname__} is a coroutine function, so it cannot have runs="thread".'
        )
    return "async" if is_async else "thread"


def check_memory(value: Size | None, runs: Executor) -> int | None:
    """Return the bytes that a run may use, or raise ConfigurationError."""
    if value is None:
        return None
    if runs != "process":
        raise ConfigurationError(
            f'memory is {value!r}, but only a process has memory of its own: add runs="process".'
        )
    return parse_size(value, name="memory")


def check_resources(resources: Mapping[str, str], runs: Executor, name: str) -> dict[str, str]:
    """Return the resources of a handler, or raise ConfigurationError if it cannot have them."""
    if resources and runs == "process":
        raise ConfigurationError(
            f'{name} has runs="process" and wants the resource {next(iter(resources.values()))!r}: '
            "the lifespan opens it in another process. Open what it needs in the handler."
        )
    return dict(resources)


def check_soft_timeout(value: Duration | None, timeout: Duration | None) -> timedelta | None:
    """Return a soft timeout that is shorter than *timeout*, or raise ConfigurationError."""
    soft, hard = check_timeout(value), check_timeout(timeout)
    if soft is not None and hard is not None and soft >= hard:
        raise ConfigurationError(
            f"soft_timeout is {value!r} and timeout {timeout!r}: the soft one must be shorter, "
            "for it asks the handler to end before it is cancelled."
        )
    return soft


def check_backoff(value: object, *, name: str = "backoff") -> Backoff:
    """Return a backoff, also from text as in the configuration, or raise ConfigurationError."""
    if isinstance(value, str):
        return parse_backoff(value)
    if isinstance(value, Backoff):
        return value
    raise ConfigurationError(
        f"{name} is {value!r}: write one of celers_worker.backoff, such as "
        'backoff.exponential("2s", cap="1h"), or its text, "exponential(2s, cap=1h)".'
    )


def check_concurrency(value: object) -> int | None:
    """Return a number of permits, or raise ConfigurationError."""
    return None if value is None else check_positive("concurrency", value)


def check_positive(name: str, value: object) -> int:
    """Return a whole number from 1 on, or raise ConfigurationError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ConfigurationError(f"{name} is {value!r}: it must be a whole number from 1.")
