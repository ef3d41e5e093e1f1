"""Opening a workflow again: steps that did not complete are tried once more, and so it goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celers_worker.store.schema import archive, dead_letters
from celers_worker.store.values import chunks
from celers_worker.store.workflow import progress, whole_statements

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction

#: Moves rows of a table back to the live tasks and returns the ids of those that are live.
MoveBack = Callable[["Transaction", Any, Sequence[UUID], timedelta], list[UUID]]


def retry(transaction: Transaction, workflow_id: UUID, move_back: MoveBack) -> int | None:
    """Try the steps again that did not complete; how many. None: there is no such workflow.

    Those that completed keep their results. Steps whose rows are gone cannot be tried.
    """
    if not progress.lock_workflows(transaction, [workflow_id]):
        return None
    unended = transaction.connection.execute(whole_statements.UNENDED, {"workflow": workflow_id})
    revived = _revive(transaction, list(unended.scalars()), move_back)
    with_parents = _among(transaction, whole_statements.CHILDREN_AMONG, revived)
    reopen(transaction, revived, move_back, blocked=with_parents)
    return len(revived)


def reopen(
    transaction: Transaction,
    task_ids: Collection[UUID],
    move_back: MoveBack,
    *,
    blocked: Collection[UUID] = (),
) -> None:
    """Tasks that had ended are live again: so are their workflows, and what waited for them.

    *blocked*: those of them that wait for their parents once more.
    """
    locked = progress.lock(transaction, task_ids)
    if not locked:
        return
    waiting = set(blocked)
    level: Collection[UUID] = task_ids
    while level:
        ended = set(_among(transaction, whole_statements.ENDED_BY, level)) - waiting
        level = _revive(transaction, sorted(ended), move_back)
        waiting |= set(level)
    spared = _among(transaction, whole_statements.SPARED, [*task_ids, *waiting, *locked])
    waiting |= set(_revive(transaction, spared, move_back))
    for chunk in chunks(sorted(waiting)):
        transaction.connection.execute(whole_statements.BLOCK, {"ids": chunk})
    for chunk in chunks([*task_ids, *waiting, *locked]):
        transaction.connection.execute(whole_statements.REOPEN_STEPS, {"ids": chunk})
    transaction.connection.execute(whole_statements.REOPEN_WORKFLOWS, {"ids": list(locked)})
    progress.move_on(transaction, {}, blocked=sorted(waiting))


def _revive(transaction: Transaction, task_ids: Sequence[UUID], move_back: MoveBack) -> list[UUID]:
    done: set[UUID] = set()
    for source in (dead_letters, archive):
        for chunk in chunks(task_ids):
            done |= set(move_back(transaction, source, chunk, timedelta(0)))
    return sorted(done)


def _among(transaction: Transaction, statement: Any, ids: Collection[UUID]) -> list[UUID]:
    return [
        found
        for chunk in chunks(list(ids))
        for found in transaction.connection.execute(statement, {"ids": chunk}).scalars()
    ]
