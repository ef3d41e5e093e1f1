"""Passing results on: a child's payload, completed with what its parents returned. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from celers_worker.core.payload import decode
from celers_worker.core.workflow import Path, Value


class Nothing(Enum):
    """What a parent that did not complete passes on."""

    LEFT_OUT = auto()
    """Its place in a list, or its argument, is removed."""


#: A result as the JSON it is stored as, None, or a place to remove.
Passed: TypeAlias = bytes | Nothing | None


def fill(template: bytes, passed: Sequence[tuple[Path, Passed]]) -> bytes:
    """Return the payload *template* with each value at its path.

    The template has a null, or lists and objects of nulls, where the values belong. Results are
    put in as they are stored: they are not decoded.
    """
    payload: Any = decode(template)
    removed = []
    for path, value in passed:
        if isinstance(value, Nothing):
            removed.append(path)
        else:
            _parent_of(payload, path)[path[-1]] = None if value is None else msgspec.Raw(value)
    # The last of a list first, so that the others keep their places until it is their turn.
    for path in sorted(removed, key=_place, reverse=True):
        place: Any = _parent_of(payload, path)
        if isinstance(place, dict):
            place.pop(path[-1], None)
        else:
            del place[path[-1]]
    return msgspec.json.encode(payload)


def leaves(value: Value, path: Path = ()) -> Iterator[tuple[Path, UUID]]:
    """Each step in *value*, with its path below *path*."""
    if isinstance(value, UUID):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))


def skeleton(value: Value) -> Any:
    """*value* with None for each step: what a template holds until there are results."""
    if isinstance(value, dict):
        return {key: skeleton(item) for key, item in value.items()}
    if isinstance(value, list):
        return [skeleton(item) for item in value]
    return None


def _parent_of(payload: Any, path: Path) -> Any:
    for key in path[:-1]:
        payload = payload[key]
    return payload


def _place(path: Path) -> list[tuple[int, int, str]]:
    """A key that sorts paths: places in lists by number."""
    return [(1, key, "") if isinstance(key, int) else (0, 0, key) for key in path]
