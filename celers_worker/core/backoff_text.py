"""Backoffs as configuration writes them: ``exponential(2s, cap=1h)``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from celers_worker.core import backoff
from celers_worker.core.backoff import Backoff
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest

_CALL = re.compile(r"\s*([a-z_]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_NUMBERS = frozenset({"factor", "power"})
STRATEGIES: Mapping[str, Callable[..., Backoff]] = {
    "immediate": backoff.immediate,
    "fixed": backoff.fixed,
    "linear": backoff.linear,
    "exponential": backoff.exponential,
    "polynomial": backoff.polynomial,
    "fibonacci": backoff.fibonacci,
    "decorrelated": backoff.decorrelated,
    "steps": backoff.steps,
}


def parse_backoff(text: str) -> Backoff:
    """Read a strategy with its arguments, as Python would call it but without quotes.

    Raises ConfigurationError saying what to write.
    """
    call = _CALL.fullmatch(text)
    if call is None:
        raise ConfigurationError(
            f"{text[:80]!r} is no backoff: write a strategy and its waits, "
            'such as "exponential(2s, cap=1h)".'
        )
    name, inside = call[1], call[2] or ""
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise ConfigurationError(
            f"{name[:80]!r} is no backoff: the strategies are {', '.join(STRATEGIES)}."
            f"{nearest(name, STRATEGIES)}"
        )
    positional, named = _arguments(inside)
    try:
        inspect.signature(strategy).bind(*positional, **named)
    except TypeError as error:
        signature = inspect.signature(strategy)
        known = ", ".join(signature.parameters)
        raise ConfigurationError(
            f"{text[:80]!r}: {error}. {name} takes {known or 'nothing'}."
        ) from None
    return strategy(*positional, **named)


def _arguments(inside: str) -> tuple[list[str], dict[str, Any]]:
    positional: list[str] = []
    named: dict[str, Any] = {}
    for part in (part.strip() for part in inside.split(",")) if inside.strip() else ():
        key, equals, value = (piece.strip().strip("\"'") for piece in part.partition("="))
        if not equals:
            if named:
                raise ConfigurationError(f"{part[:80]!r} must stand before what has a name.")
            positional.append(key)
        else:
            named[key] = _number(key, value) if key in _NUMBERS else value
    return positional, named


def _number(key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigurationError(f"{key} is {value[:80]!r}: write a number.") from None
