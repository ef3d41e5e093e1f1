"""Enqueue in a transaction that the application began itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celers_worker.core.task import Enqueued, NewTask
from celers_worker.store import borrowed


async def enqueue_in(session: Any, tasks: Sequence[NewTask]) -> list[Enqueued]:
    """Add *tasks* in the transaction of a SQLAlchemy session or connection, of either kind."""
    return await borrowed.run(session, lambda transaction: transaction.enqueue(tasks))


def enqueue_in_sync(session: Any, tasks: Sequence[NewTask]) -> list[Enqueued]:
    """Add *tasks* in the transaction of a synchronous SQLAlchemy session or connection."""
    return borrowed.run_sync(session, lambda transaction: transaction.enqueue(tasks))
