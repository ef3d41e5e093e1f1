"""Memory: how much this process uses, and a bound that the kernel keeps."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

_STATUS = Path("/proc/self/status")


@contextlib.contextmanager
def bounded(limit: int | None) -> Iterator[None]:
    """A block in which an allocation over *limit* bytes raises MemoryError.

    Bounded is what the process writes to, not its address space: libraries reserve far more of
    that than they use. What had been reserved before the block, and not used, does not count.
    """
    if limit is None:
        yield
        return
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = _figures()
    untouched = max(used.get("VmData", 0) - used.get("RssAnon", 0), 0)
    soft = limit + untouched
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    try:
        yield
    finally:  # what tells of the failure needs memory too
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def in_use() -> int:
    """The bytes of memory that this process uses now; 0 where the system does not say."""
    return _figures().get("VmRSS", 0)


def _figures() -> dict[str, int]:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:  # no Linux
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}
