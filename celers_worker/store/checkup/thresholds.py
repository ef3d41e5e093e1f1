"""From where on something is worth telling."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from celers_worker.store.base import StoreOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on something is worth telling, and what one process asks of the server."""

    pool_size: int = 5
    """Connections of one worker's pool; it holds a few more, each for one purpose."""
    asked: StoreOptions | None = None
    """What connections were asked for; None: a pooler is known to stand between."""
    dead_rows: int = 100_000
    """Dead rows of the hot table, and ten times as many as live ones."""
    snapshot: timedelta = timedelta(minutes=10)
    """The age of a snapshot or a transaction that somebody else holds."""
    skew: timedelta = timedelta(seconds=2)
    """Between this host's clock and the database's."""
    wal_bytes: int = 256 * 1024 * 1024
    """SQLite's log, which is folded back while nobody reads."""
