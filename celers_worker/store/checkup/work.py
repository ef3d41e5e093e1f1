"""Tasks that nobody runs: orphans, queues that nobody serves, names that nobody handles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select

from celers_worker.core.names import nearest
from celers_worker.store import maintenance, sql, statements, survey, sweeps
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, error, warning
from celers_worker.store.schema import tasks
from celers_worker.store.survey import WorkerView
from celers_worker.store.transaction import Transaction

#: So many queues or names are told, the fullest first.
_TOLD = 10


def examine(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    """Compare what waits and runs with the workers that live."""
    number = maintenance.count_orphans(transaction)
    if number:
        yield error(
            f"{number:,} tasks are processing, and no live worker has them",
            "Their workers are gone. A worker that lives takes them back within a minute: there is "
            "none, or none with the upkeep.",
            "celers maintain recover",
        )
    alive = [view for view in survey.list_workers(transaction) if view.state != "lost"]
    queues = _due(transaction, tasks.c.queue_name)
    if queues and not alive:
        total = sum(queues.values())
        yield error(
            f"{total:,} tasks are due, and no worker lives", "Nobody runs them.", "celers worker"
        )
        return
    yield from _unserved(queues, alive)
    yield from _unhandled(_due(transaction, tasks.c.task_name), alive)
    yield from _quiet(queues, alive)


def _unserved(queues: dict[str, int], alive: list[WorkerView]) -> Iterator[Finding]:
    for queue, count in queues.items():
        if not any(view.serves(queue) for view in alive):
            served = sorted({name for view in alive for name in view.queues})
            yield error(
                f"{count:,} tasks are due in the queue {queue}, which no live worker serves"
                f"{nearest(queue, served)}",
                "They wait until one does.",
                f"celers worker -q {queue}",
            )


def _unhandled(names: dict[str, int], alive: list[WorkerView]) -> Iterator[Finding]:
    for name, count in names.items():
        if not any(view.knows(name) for view in alive):
            known = sorted({handler for view in alive for handler in view.handlers})
            yield error(
                f"{count:,} tasks called {name} are due, and no live worker has a handler for them"
                f"{nearest(name, known)}",
                "They are parked until a worker has one.",
                f"deploy the code of {name}, or: celers task cancel --name {name}",
            )


def _quiet(queues: dict[str, int], alive: list[WorkerView]) -> Iterator[Finding]:
    if queues and all(view.state != "running" for view in alive):
        yield warning(
            f"tasks are due, and none of the {len(alive):,} live workers claims: each is "
            f"{' or '.join(sorted({view.state for view in alive}))}",
            "Somebody has told them so, or they are about to stop.",
            "celers workers resume --all",
        )


def _due(transaction: Transaction, column: Any) -> dict[str, int]:
    """The due tasks by *column*, the most first; without what a foreign producer wrote just now."""
    number = func.count().label("number")
    rows = transaction.connection.execute(
        select(column, number)
        .where(
            tasks.c.state == statements.PENDING,
            tasks.c.queue_name != sweeps.UNADOPTED,
            tasks.c.scheduled_at <= sql.now(),
        )
        .group_by(column)
        .order_by(number.desc(), column)
        .limit(_TOLD)
    )
    return {row[0]: row[1] for row in rows}
