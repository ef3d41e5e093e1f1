"""How long what has ended is kept: of every queue, and of single ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType

#: No queue has a retention of its own.
NO_QUEUE: Mapping[str, Mapping[str, timedelta]] = MappingProxyType({})


def ages_of(
    key: str,
    retention: Mapping[str, timedelta],
    by_queue: Mapping[str, Mapping[str, timedelta]],
) -> dict[str | None, timedelta]:
    """The retention of each queue that has its own, and under None that of the others."""
    found: dict[str | None, timedelta] = {
        queue: ages[key] for queue, ages in by_queue.items() if key in ages
    }
    found[None] = retention[key]
    return found


def longest(
    retention: Mapping[str, timedelta],
    by_queue: Mapping[str, Mapping[str, timedelta]],
    *,
    keys: Iterable[str] | None = None,
) -> timedelta:
    """The longest time that anything is kept, or anything of *keys*."""
    wanted = list(retention if keys is None else keys)
    own = [ages[key] for ages in by_queue.values() for key in wanted if key in ages]
    return max([*(retention[key] for key in wanted), *own])
