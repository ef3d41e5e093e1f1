"""Extensions: what an application registers around its handlers, for the worker to put there."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from celers_worker.core.errors import CelersError, ConfigurationError
from celers_worker.core.middleware import Middleware, Permit, Resource

Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[Mapping[str, Any] | None]]


@dataclass(slots=True)
class Extensions:
    """In the order of their registration."""

    middleware: list[Middleware] = field(default_factory=list)
    lifespans: list[Lifespan] = field(default_factory=list)
    permits: dict[str, Permit] = field(default_factory=dict)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Mapping[str, Any]]:
        """Open the lifespans, one after the other, and give what they yield, by name.

        Raises CelersError saying which one failed and of what; those before it are closed.
        """
        async with AsyncExitStack() as stack:
            resources: dict[str, Any] = {}
            for lifespan in self.lifespans:
                name = getattr(lifespan, "__qualname__", repr(lifespan))
                try:
                    yielded = await stack.enter_async_context(lifespan())
                except Exception as error:  # the user's code
                    raise CelersError(
                        f"the worker does not start, for the lifespan {name} failed: "
                        f"{type(error).__name__}: {error}"
                    ) from error
                resources |= _checked(name, yielded, resources)
            yield resources


def _checked(name: str, yielded: object, known: Mapping[str, Any]) -> Mapping[str, Any]:
    if yielded is None:
        return {}
    if not isinstance(yielded, Mapping):
        raise ConfigurationError(
            f"the lifespan {name} yielded a {type(yielded).__name__}: yield the resources by name, "
            'as in {"pool": pool}.'
        )
    twice = sorted(set(yielded) & set(known))
    if twice:
        raise ConfigurationError(f"two lifespans yield {', '.join(map(repr, twice))}: rename one.")
    return yielded


def as_context_manager(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """*function*, which makes async context managers, or one made of an async generator."""
    if inspect.isasyncgenfunction(function):
        return asynccontextmanager(function)
    if inspect.iscoroutinefunction(function) or not callable(function):
        raise ConfigurationError(
            f"{function!r} cannot be a {what}: write an async function with one yield, "
            "or one that returns an async context manager."
        )
    return function


def split_resources(signature: inspect.Signature) -> tuple[inspect.Signature, dict[str, str]]:
    """*signature* without the parameters that a lifespan fills, and their resources' names."""
    found = {
        parameter.name: parameter.default.name or parameter.name
        for parameter in signature.parameters.values()
        if isinstance(parameter.default, Resource)
    }
    rest = [one for one in signature.parameters.values() if one.name not in found]
    return signature.replace(parameters=rest), found
