"""Whether this host and the database agree on the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from celers_worker.store import statements
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, warning
from celers_worker.store.transaction import Transaction


def examine(
    transaction: Transaction, thresholds: Thresholds, *, clock: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """Ask the database for the time; how long the answer took is not taken for a difference."""
    transaction.connection.execute(statements.NOW).scalar_one()  # the connection is warm
    sent = clock()
    there = transaction.connection.execute(statements.NOW).scalar_one().timestamp()
    received = clock()
    behind, ahead = sent - there, there - received
    skew = max(behind, ahead)
    if skew > thresholds.skew.total_seconds():
        word = "ahead of" if behind > ahead else "behind"
        yield warning(
            f"this host's clock is {skew:,.1f} s {word} the database's",
            "The database decides what is due, but an instant that this host gives, as in "
            "enqueue_at or expires, is meant by its own clock, and ages in lists are wrong.",
            "timedatectl set-ntp true  (here, and at the database's host)",
        )
