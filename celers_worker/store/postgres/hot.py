"""PostgreSQL's statements that run on raw asyncpg, compiled once each."""

from __future__ import annotations

from functools import cache

from sqlalchemy import exists, select

from celers_worker.core.workflow import WorkflowState
from celers_worker.store import lease_statements
from celers_worker.store.postgres import claiming, enqueueing, frozen, settling
from celers_worker.store.postgres.held import Compiled
from celers_worker.store.schema import schedules, workflows

CLAIM = Compiled(claiming.claim(limited=False))
CLAIM_LIMITED = Compiled(claiming.claim(limited=True))
CLAIM_ANNOUNCED = Compiled(claiming.claim_announced())
COMPLETE = Compiled(settling.complete(archived=True, with_results=False))
COMPLETE_WITH_RESULTS = Compiled(settling.complete(archived=True, with_results=True))
DISCARD = Compiled(settling.complete(archived=False, with_results=False))
DISCARD_WITH_RESULTS = Compiled(settling.complete(archived=False, with_results=True))
ENQUEUE_ONE = Compiled(enqueueing.enqueue(frozenset()))
END_FROZEN = Compiled(frozen.END)
SWEEP = Compiled(claiming.sweep())
SWEEP_ALL = Compiled(claiming.SWEEP_ALL)
UPKEEP_DUE = Compiled(
    select(
        lease_statements.LOST_WORKERS.exists(),
        exists().where(workflows.c.state == WorkflowState.RUNNING.value),
        select(schedules.c.name).exists(),
        frozen.ANY.exists(),
    )
)


@cache
def enqueue_many(differing: frozenset[str]) -> Compiled:
    """The enqueue of tasks that differ in these binds."""
    return Compiled(enqueueing.enqueue(differing))
