"""Everything at a glance, for ``celers top``: one look, whose parts are bounded or say how long.

The queues are counted, which reads every live task once; whoever looks again and again leaves
pauses that grow with the time a look takes. All else reads the newest rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from celers_worker.core.failures import FailureGroup
from celers_worker.core.figures import Figures, Grouping
from celers_worker.store import failures, figures, running, survey
from celers_worker.store.running import RunningTask
from celers_worker.store.survey import QueueView, WorkerView
from celers_worker.store.transaction import Transaction

#: Rates and spans are those of the tasks that ended within this, of the newest so many.
WINDOW = timedelta(minutes=1)
_SAMPLE = 2_000
#: Dead tasks that are looked at: the newest.
_DEAD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is, at one moment."""

    queues: Sequence[QueueView]
    workers: Sequence[WorkerView]
    running: Sequence[RunningTask]
    dead: Sequence[FailureGroup]
    """The newest of the dead, those that died last first."""
    passages: Sequence[Figures]
    """Of the last minute, by queue."""


def overview(transaction: Transaction, *, rows: int = 50) -> Overview:
    """Look at everything; of what runs, the *rows* that run longest."""
    report = figures.report(transaction, WINDOW, by=Grouping.QUEUE, sample=_SAMPLE)
    return Overview(
        queues=survey.list_queues(transaction),
        workers=survey.list_workers(transaction),
        running=running.oldest(transaction, rows),
        dead=sorted(
            failures.dead(transaction, sample=_DEAD),
            key=lambda group: group.last_seen,
            reverse=True,
        ),
        passages=report.groups,
    )
