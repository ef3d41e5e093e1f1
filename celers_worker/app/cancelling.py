"""Cancel many tasks by what they have in common, in batches: each is one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from celers_worker.app.client import Client
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.task import LIVE
from celers_worker.store import control
from celers_worker.store.inspect import TaskFilter

BY_PRODUCER = "cancelled by its producer"
#: Tasks in one transaction.
BATCH = 500


@dataclass(frozen=True, slots=True)
class CancelledMany:
    """How many tasks are cancelled now, and how many running ones were asked to stop."""

    cancelled: int = 0
    requested: int = 0

    def and_(self, batch: control.Cancellation) -> CancelledMany:
        """These and those of *batch*."""
        return CancelledMany(
            self.cancelled + len(batch.cancelled), self.requested + len(batch.requested)
        )


def chosen_tasks(
    *, tag: str | None, fingerprint: str | None, name: str | None, queue: str | None
) -> TaskFilter:
    """The live tasks for which all that is given holds.

    Raises ConfigurationError if nothing is given: not every task by accident.
    """
    if tag is fingerprint is name is queue is None:
        raise ConfigurationError(
            "which tasks to cancel? Give a tag, a fingerprint, a name or a queue."
        )
    return TaskFilter(states=sorted(LIVE), tag=tag, fingerprint=fingerprint, name=name, queue=queue)


async def cancel_many(client: Client, wanted: TaskFilter, reason: str) -> CancelledMany:
    """Cancel all that *wanted* means; interrupted, what was cancelled stays so."""
    store = await client.store()
    done = CancelledMany()
    while (batch := await store.run(control.cancel, wanted, reason, limit=BATCH)).any:
        done = done.and_(batch)
    return done


def cancel_many_sync(client: Client, wanted: TaskFilter, reason: str) -> CancelledMany:
    """``cancel_many`` without an event loop."""
    store = client.direct()
    done = CancelledMany()
    while (batch := store.run(control.cancel, wanted, reason, limit=BATCH)).any:
        done = done.and_(batch)
    return done
