"""What ``app.task(…)`` returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from celers_worker.app.declared import DeclaredTask
from celers_worker.core.handler import Context

P = ParamSpec("P")
R = TypeVar("R")


class Decorator:
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
        """Declare *function* as a handler."""
        return self._declare(function)
