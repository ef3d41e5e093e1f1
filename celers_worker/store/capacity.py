"""How many tasks may wait in a queue, asked before more are added.

The count stops at the capacity, so it reads no more of the index than that many entries. Producers
that commit at the same moment do not see each other: together they may go over by what they add at
once, except on SQLite, which has one writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, func, select

from celers_worker.core.errors import QueueFull
from celers_worker.core.task import NewTask
from celers_worker.store import sql, statements
from celers_worker.store.schema import tasks
from celers_worker.store.unique_statements import OWNERS, WINDOWS

WAITING: Select[Any] = select(func.count()).select_from(
    select(sql.integer(1).label("one"))
    .where(tasks.c.state == statements.PENDING, tasks.c.queue_name == bindparam("queue"))
    .limit(bindparam("room", type_=Integer))
    .subquery("waiting")
)


def check_room(
    connection: Connection, new: Sequence[NewTask], capacities: Mapping[str, int]
) -> None:
    """Raise QueueFull if *new* tasks do not fit into their queues.

    Tasks whose unique key is taken take no room, for they are not added.
    """
    for queue, capacity in capacities.items():
        mine = [task for task in new if task.queue == queue]
        added = _added(connection, mine)
        if not added:
            continue
        values = {"queue": queue, "room": capacity + 1}
        waiting = connection.execute(WAITING, values).scalar_one()
        if waiting + added > capacity:
            raise QueueFull(queue, capacity=capacity, waiting=waiting, refused=added)


def _added(connection: Connection, tasks: Sequence[NewTask]) -> int:
    keys = {task.unique_key for task in tasks if task.unique_key is not None}
    plain = sum(task.unique_key is None for task in tasks)
    if keys:
        for query in (OWNERS, WINDOWS):
            taken = connection.execute(query, {"keys": list(keys)})
            keys -= {row.unique_key for row in taken}
    return plain + len(keys)
