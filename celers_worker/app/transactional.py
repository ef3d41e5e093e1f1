"""Enqueue in a transaction that the application began itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celers_worker.core.task import Enqueued, NewTask
from celers_worker.core.workflow import NewWorkflow
from celers_worker.store import borrowed
from celers_worker.store.workflow import enqueueing


async def enqueue_in(
    session: Any, tasks: Sequence[NewTask], capacities: Mapping[str, int]
) -> list[Enqueued]:
    """Add *tasks* in the transaction of a session or a connection, of either kind."""
    return await borrowed.run(
        session, lambda transaction: transaction.enqueue(tasks, capacities=capacities)
    )


def enqueue_in_sync(
    session: Any, tasks: Sequence[NewTask], capacities: Mapping[str, int]
) -> list[Enqueued]:
    """Add *tasks* in the transaction of a synchronous session or connection."""
    return borrowed.run_sync(
        session, lambda transaction: transaction.enqueue(tasks, capacities=capacities)
    )


async def enqueue_workflow_in(session: Any, new: NewWorkflow) -> None:
    """Add a workflow in the transaction of a session or a connection, of either kind."""
    await borrowed.run(session, lambda transaction: enqueueing.enqueue(transaction, new))


def enqueue_workflow_in_sync(session: Any, new: NewWorkflow) -> None:
    """Add a workflow in the transaction of a synchronous session or connection."""
    borrowed.run_sync(session, lambda transaction: enqueueing.enqueue(transaction, new))
