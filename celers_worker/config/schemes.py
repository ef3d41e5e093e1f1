"""The schemes of database URLs that other packages bring, by entry points.

What is installed takes some milliseconds to read, and some more to import what reads it: to be
asked only for a scheme that is not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: The group of entry points: scheme = "package.module:BACKEND", a ``store.backends.Backend``.
STORES = "celers_worker.stores"


def offered(scheme: str) -> EntryPoint | None:
    """The entry point of an installed package for URLs of *scheme*; None if there is none."""
    from importlib.metadata import entry_points

    return next(iter(entry_points(group=STORES, name=scheme.split("+")[0])), None)


def offered_names() -> list[str]:
    """The schemes of all packages that are installed."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=STORES).names)
