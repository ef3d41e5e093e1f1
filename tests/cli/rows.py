"""Tasks in the states that commands meet, made behind the command line's back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update

from celers_worker.core.outcome import Failure
from celers_worker.core.progress import Progress
from celers_worker.core.task import NewTask
from celers_worker.store import maintenance, sql
from celers_worker.store.attempt import FailedAttempt
from celers_worker.store.direct import DirectStore
from celers_worker.store.progress import tell
from celers_worker.store.schema import VERSION_TABLE, archive, dead_letters, tasks
from celers_worker.store.transaction import Transaction
from tests.services.desk import a_task

TRACEBACK = "Traceback (most recent call last):\n  …\nValueError: no such user"


def waiting(direct: DirectStore, number: int = 1, **changes: Any) -> list[UUID]:
    """Tasks that are due."""
    wanted = {"name": "send", "payload": b'{"to":"ada"}'} | changes
    return [one.id for one in direct.enqueue([NewTask(**wanted) for _ in range(number)])]


def dead(
    direct: DirectStore, number: int = 1, error: str = "ValueError: no such user", **changes: Any
) -> list[UUID]:
    """Tasks in the dead letter queue."""
    ids = waiting(direct, number, **changes)
    bury(direct, ids, error)
    return ids


def with_keys(direct: DirectStore, keys: list[str]) -> list[UUID]:
    """A waiting task for each unique key."""
    new = [NewTask(name="send", payload=b"{}", unique_key=key) for key in keys]
    return [one.id for one in direct.enqueue(new)]


def bury(direct: DirectStore, ids: list[UUID], error: str = "ValueError: no such user") -> None:
    """Let waiting tasks be dead."""
    for start in range(0, len(ids), 1_000):
        chunk = ids[start : start + 1_000]
        direct.run(lambda transaction: transaction.bury(chunk, reason="gave up", message=error))  # noqa: B023 - it is called at once


def failed_attempt(direct: DirectStore, task_id: UUID) -> None:
    """One attempt of a task, with its traceback."""
    failure = Failure("ValueError", "no such user", TRACEBACK)
    attempt = FailedAttempt(task_id, 1, 1, "worker-1", None, failure)
    direct.run(lambda transaction: transaction.record_attempts([attempt]))


def progress(direct: DirectStore, task_id: UUID, told: Progress) -> None:
    """What the handler of a running task says."""
    task = a_task(id=task_id)  # with the lease of ``running``
    direct.run(lambda transaction: tell(transaction, task, told))


def running(direct: DirectStore, **changes: Any) -> UUID:
    """A task that a worker runs."""
    [task_id] = waiting(direct, **changes)
    change(direct, task_id, state="processing", worker_id="worker-1", started_at=sql.now(), lease=1)
    return task_id


def change(direct: DirectStore, task_id: UUID, **values: Any) -> None:
    """Change a live task's row."""

    def write(transaction: Transaction) -> None:
        transaction.connection.execute(update(tasks).where(tasks.c.id == task_id).values(**values))

    direct.run(write)


def died_long_ago(direct: DirectStore, task_id: UUID, ago: timedelta) -> None:
    """Let a dead task have died earlier."""

    def write(transaction: Transaction) -> None:
        transaction.connection.execute(
            update(dead_letters)
            .where(dead_letters.c.id == task_id)
            .values(failed_at=sql.later(-ago.total_seconds()))
        )

    direct.run(write)


def worker(direct: DirectStore, *handlers: str, queues: tuple[str, ...] = ()) -> None:
    """A worker with a live lease."""
    card = maintenance.WorkerCard(
        id="worker-1",
        name="mail-1",
        host="host-1",
        pid=4711,
        version="1.0",
        queues=queues,
        handlers=handlers,
        concurrency=8,
    )
    direct.run(maintenance.register, card, timedelta(minutes=5))


def counts(direct: DirectStore) -> dict[str, int]:
    """How many tasks there are, by state; dead ones are failed."""

    def read(transaction: Transaction) -> dict[str, int]:
        found: dict[str, int] = {}
        for table in (tasks, archive, dead_letters):
            rows = transaction.connection.execute(
                select(table.c.state, func.count()).group_by(table.c.state)
            )
            found |= {row[0]: row[1] for row in rows}
        return found

    return direct.run(read)


def state(direct: DirectStore, task_id: UUID) -> str | None:
    """The state of one task."""
    from celers_worker.store import inspect

    view = direct.run(inspect.task, task_id)
    return None if view is None else view.state.value


def live(direct: DirectStore) -> list[Any]:
    """The rows of the live tasks."""
    return direct.run(
        lambda transaction: transaction.connection.execute(select(tasks).order_by(tasks.c.id)).all()
    )


def stamp(direct: DirectStore, revision: str) -> None:
    """Let the tables be of another version."""
    direct.run(
        lambda transaction: transaction.connection.execute(
            text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
        )
    )
