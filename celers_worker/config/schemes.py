"""The schemes of database URLs that other packages bring, by entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

#: The group of entry points: scheme = "package.module:BACKEND", a ``store.backends.Backend``.
STORES = "celers_worker.stores"


def offered(scheme: str) -> EntryPoint | None:
    """The entry point of an installed package for URLs of *scheme*; None if there is none.

    Reads what is installed, some milliseconds: to be asked only for a scheme that is not ours.
    """
    return next(iter(entry_points(group=STORES, name=scheme.split("+")[0])), None)


def offered_names() -> list[str]:
    """The schemes of all packages that are installed."""
    return sorted(entry_points(group=STORES).names)
