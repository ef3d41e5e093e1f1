"""What a CeleRS 0.2 producer says of its task in ``metadata``, beyond what adoption reads.

Tolerant: what is unknown or odd is as good as absent, for a task must run whoever wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from celers_worker.core import backoff
from celers_worker.core.backoff import Backoff
from celers_worker.core.duration import LONGEST
from celers_worker.core.errors import PayloadError
from celers_worker.core.payload import decode
from celers_worker.core.retry import RetryPolicy

#: Seconds, if the strategy does not bound its waits.
_CAP = 3_600.0
_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_HEX = re.compile("[0-9a-f]+")


def retry_policy(metadata: str | Mapping[str, object] | None, declared: RetryPolicy) -> RetryPolicy:
    """*declared* with the waits that the producer asks for, if it does.

    How often is in the column ``max_retries``, and what is worth a retry only the handler knows.
    """
    if metadata is None:
        return declared
    policy = document(metadata).get("retry_policy")
    strategy = policy.get("strategy") if isinstance(policy, dict) else None
    wanted = _backoff(strategy)
    return declared if wanted is None else replace(declared, backoff=wanted)


def traceparent(metadata: str | Mapping[str, object] | None) -> str | None:
    """The W3C trace context of the producer: its ``traceparent``, or what CeleRS writes of one."""
    found = {} if metadata is None else document(metadata)
    given = found.get("traceparent")
    if isinstance(given, str):
        return given if _TRACEPARENT.fullmatch(given) else None
    context = found.get("trace_context")
    if not isinstance(context, dict):
        return None
    parts = ("trace_id", 32), ("span_id", 16), ("trace_flags", 2)
    values = [(context.get(name), length) for name, length in parts]
    if not all(
        isinstance(value, str) and len(value) == length and _HEX.fullmatch(value)
        for value, length in values
    ):
        return None
    return f"00-{context['trace_id']}-{context['span_id']}-{context['trace_flags']}"


def trace_id(metadata: str | Mapping[str, object] | None) -> str | None:
    """The id of the producer's trace, as logs and tracing tools show it."""
    found = traceparent(metadata)
    return None if found is None else found[3:35]


def document(metadata: str | Mapping[str, object]) -> Mapping[str, Any]:
    """*metadata* as a mapping; a driver may bring it as text."""
    try:
        found = decode(metadata) if isinstance(metadata, str) else metadata
    except PayloadError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _backoff(strategy: Any) -> Backoff | None:
    """``{"Fixed": 5}``, ``{"Exponential": {"base_delay_secs": 1, …}}`` and their like."""
    match strategy:
        case "Immediate":
            return backoff.immediate()
        case {"Fixed": wait}:
            return _bounded(lambda failures: 1.0, _seconds(wait), None)
        case {"Linear": {"base_delay_secs": step, **rest}}:
            return _bounded(float, _seconds(step), rest)
        case {"Exponential": {"base_delay_secs": base, **rest}}:
            return _exponential(base, rest, "none")
        case {"ExponentialWithJitter": {"base_delay_secs": base, **rest}}:
            return _exponential(base, rest, "equal")
        case _:
            return None


def _exponential(base: object, rest: Mapping[Any, Any], jitter: backoff.Jitter) -> Backoff | None:
    factor = _seconds(rest.get("multiplier", 2.0))
    if factor is None or factor < 1:
        return None
    return _bounded(lambda failures: factor ** (failures - 1), _seconds(base), rest, jitter)


def _bounded(
    growth: Any, unit: float | None, rest: Mapping[Any, Any] | None, jitter: backoff.Jitter = "none"
) -> Backoff | None:
    longest = (
        LONGEST.total_seconds() if rest is None else _seconds(rest.get("max_delay_secs", _CAP))
    )
    if unit is None or longest is None:
        return None
    return Backoff(lambda failures: unit * growth(failures), timedelta(seconds=longest), jitter)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= LONGEST.total_seconds() else None
