"""What a health probe asks: by index probes only, however much waits and lies in the archive."""

from __future__ import annotations

from sqlalchemy import func, select

from celers_worker.core.health import Vitals
from celers_worker.core.task import Demand
from celers_worker.store import sql
from celers_worker.store.schema import dead_letters, queues, upkeep, workers
from celers_worker.store.transaction import Transaction


def vitals(
    transaction: Transaction, *, queue: str | None = None, max_dead: int | None = None
) -> Vitals:
    """Look at live workers, at what has been due longest, and at up to *max_dead* + 1 dead tasks.

    A paused queue has no backlog: somebody has said that it waits. *queue* looks at that one only.
    """
    connection = transaction.connection
    paused = set(
        connection.execute(select(queues.c.name).where(queues.c.paused_at.is_not(None))).scalars()
    )
    demand = Demand(1, others=1) if queue is None else Demand(1, {queue: 1})
    waits = {
        name: (now - first_due_at).total_seconds()
        for name, _, first_due_at, now in sorted(
            transaction.levels_of(demand), key=lambda level: level[2], reverse=True
        )
        if name not in paused and first_due_at <= now
    }
    longest = max(waits, key=lambda name: waits[name], default=None)
    serving = connection.execute(
        select(workers.c.queues).where(workers.c.expires_at > sql.now(), workers.c.state != "lost")
    ).scalars()
    return Vitals(
        workers=sum(queue is None or not served or queue in served for served in serving),
        backlog_age=0.0 if longest is None else waits[longest],
        backlog_queue=longest,
        dead=0 if max_dead is None else _dead(transaction, queue, max_dead + 1),
        upkeep_age=_upkeep_age(transaction),
    )


def _dead(transaction: Transaction, queue: str | None, limit: int) -> int:
    some = select(dead_letters.c.id).limit(limit)
    if queue is not None:
        some = some.where(dead_letters.c.queue_name == queue)
    count = select(func.count()).select_from(some.subquery())
    return int(transaction.connection.execute(count).scalar_one())


def _upkeep_age(transaction: Transaction) -> float | None:
    age = select(sql.seconds_since(upkeep.c.done_at)).where(upkeep.c.name == "janitor")
    found = transaction.connection.execute(age).scalar()
    return None if found is None else float(found)
