"""Handlers: the functions that run tasks, and what they are given."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.foreign import traceparent
from celers_worker.core.names import nearest
from celers_worker.core.retry import RetryPolicy
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE, Task

Executor: TypeAlias = Literal["async", "thread"]

_CANVAS = frozenset({"args", "kwargs"})
_FREE = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})


class Context:
    """What a handler may ask for, by a parameter annotated ``Context``: its task and its fate."""

    __slots__ = ("_stopped", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        self._stopped = False  # a thread may look at it while the loop sets it

    @property
    def attempt(self) -> int:
        """The number of this run, from 1."""
        return self.task.attempt

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this task: give it to services that can ignore repeats."""
        return str(self.task.id)

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that the producer gave with the task, in ``metadata``."""
        return traceparent(self.task.metadata)

    @property
    def stopped(self) -> bool:
        """Whether this run should end: cancelled, timed out, lease lost or worker stopping.

        Coroutines are cancelled anyway. A plain function cannot be interrupted, so one that runs
        long looks here from time to time.
        """
        return self._stopped

    def stop(self) -> None:
        """Tell the handler that its run should end. Called by the worker."""
        self._stopped = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function with what its tasks have by default."""

    name: str
    function: Callable[..., Any]
    runs: Executor
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    max_retries: int = DEFAULT_MAX_RETRIES
    timeout: timedelta | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int | None = None
    signature: inspect.Signature = field(repr=False)
    context_parameter: str | None = None
    exact: frozenset[str] | None = field(init=False, repr=False)
    """The names of all parameters, if all may be given by name: then nothing needs binding."""

    def __post_init__(self) -> None:
        parameters = self.signature.parameters.values()
        free = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        simple = not any(parameter.kind in free for parameter in parameters)
        object.__setattr__(self, "exact", frozenset(self.signature.parameters) if simple else None)

    @property
    def place(self) -> str:
        """Where the function stands: ``module.py:12``, for messages."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        if code is None:
            return f"{self.function.__module__}.{self.name}"
        return f"{code.co_filename}:{code.co_firstlineno}"

    def check_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, as they travel. Raises PayloadError if they do not fit."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise PayloadError(f"{self.name}{self.signature}: {error}.") from None
        return self._by_name(bound)

    def call_arguments(
        self, args: list[Any], kwargs: dict[str, Any], context: Context
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Bind decoded arguments and the context. Raises PayloadError if they do not fit."""
        if not args and kwargs.keys() == self.exact:
            if self.context_parameter is not None:
                kwargs[self.context_parameter] = context
            return (), kwargs
        if not args and self._is_canvas(kwargs):
            args, kwargs = kwargs.get("args", []), kwargs.get("kwargs", {})
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise PayloadError(f"{self.name}{self.signature}: {error}.") from None
        if self.context_parameter is None:
            return bound.args, bound.kwargs
        given = {self.context_parameter: context}
        kinds = [self.signature.parameters[key].kind for key in bound.arguments]
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            return bound.args, bound.kwargs | given
        # By name, for the context may stand in front of the others.
        return (), self._by_name(bound) | given

    def _is_canvas(self, document: Mapping[str, Any]) -> bool:
        """Whether *document* is what CeleRS's canvas writes, ``{"args": [], "kwargs": {}}``.

        One of the two may be missing, unless the handler takes any name. If it has a parameter of
        one of these names itself, they are its arguments.
        """
        if not document or not document.keys() <= _CANVAS:
            return False
        kinds = {name: one.kind for name, one in self.signature.parameters.items()}
        if any(name in _CANVAS and kind not in _FREE for name, kind in kinds.items()):
            return False
        takes_any = inspect.Parameter.VAR_KEYWORD in kinds.values()
        return (
            (len(document) == len(_CANVAS) or not takes_any)
            and isinstance(document.get("args", []), list)
            and isinstance(document.get("kwargs", {}), dict)
        )

    def _by_name(self, bound: inspect.BoundArguments) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for key, value in bound.arguments.items():
            match self.signature.parameters[key].kind:
                case inspect.Parameter.VAR_KEYWORD:
                    named |= value
                case inspect.Parameter.VAR_POSITIONAL:
                    raise PayloadError(f"{self.name}: arguments travel by name, so *{key} cannot.")
                case _:
                    named[key] = value
        return named


def split_context(function: Callable[..., Any]) -> tuple[inspect.Signature, str | None]:
    """Return the signature that producers see, without the context, and the context's name."""
    signature = inspect.signature(function)
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        # Names that only exist for type checkers cannot be resolved; the text will do.
        hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    found = [name for name in signature.parameters if _means_context(hints.get(name))]
    rest = [parameter for name, parameter in signature.parameters.items() if name not in found]
    for parameter in rest:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise ConfigurationError(
                f"{function.__qualname__}: the parameter {parameter.name!r} is positional-only, "
                "but arguments travel by name. Remove the '/'."
            )
    return signature.replace(parameters=rest), found[0] if found else None


def _means_context(hint: object) -> bool:
    """Whether an annotation is Context, its name, or Context | None."""
    options = {hint, *typing.get_args(hint)}
    return Context in options or str(hint).rsplit(".", 1)[-1] == "Context"


class Registry:
    """The handlers of an application, by name."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add(self, handler: Handler) -> None:
        """Add *handler*. Raises ConfigurationError if its name is taken, saying by whom."""
        other = self._handlers.get(handler.name)
        if other is not None:
            raise ConfigurationError(
                f"two handlers are called {handler.name!r}: {other.place} and {handler.place}. "
                'Give one of them another name: @app.task(name="…").'
            )
        self._handlers[handler.name] = handler

    def mapped(self, change: Callable[[Handler], Handler]) -> Registry:
        """A registry of the same handlers, each as *change* makes it."""
        changed = Registry()
        for handler in self:
            changed.add(change(handler))
        return changed

    def get(self, name: str) -> Handler | None:
        """Return the handler of tasks called *name*."""
        return self._handlers.get(name)

    def suggestion(self, name: str) -> str:
        """Return `` Did you mean …?`` for a name that nobody registered, or nothing."""
        return nearest(name, self._handlers)

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())

    def __len__(self) -> int:
        return len(self._handlers)
