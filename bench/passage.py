"""A passage: tasks that wait go through a worker, and what that took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import func, select

from bench import worker
from bench.database import Database
from bench.tasks import app, nothing, use
from celers_worker.app.declared import Call
from celers_worker.store import make_direct_store
from celers_worker.store.schema import archive
from celers_worker.store.transaction import Transaction

_DEFAULTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Spent:
    """What a worker's life took: its own CPU seconds, the server's, and what was written ahead."""

    worker: worker.Cost
    server_cpu_seconds: float
    written_bytes: int | None


@dataclass(frozen=True, slots=True)
class Passage:
    """So many tasks, what they took in all, and what a worker takes that finds none."""

    tasks: int
    #: From the first claim to the last settle; None if the archive does not tell.
    seconds: float | None
    whole: Spent
    idle: Spent

    @property
    def rate(self) -> float:
        """Tasks a second."""
        if self.seconds is None:
            raise worker.WorkerFailed("The archive does not tell when the tasks completed.")
        return self.tasks / self.seconds

    @property
    def worker_cpu(self) -> float:
        """Microseconds a task."""
        return self._each(lambda spent: spent.worker.cpu_seconds) * 1e6

    @property
    def server_cpu(self) -> float:
        """Microseconds a task."""
        return self._each(lambda spent: spent.server_cpu_seconds) * 1e6

    @property
    def cpu(self) -> float:
        """Microseconds a task, of the worker and the server: what other work disturbs least."""
        return self.worker_cpu + self.server_cpu

    @property
    def written(self) -> float | None:
        """Bytes a task."""
        if self.whole.written_bytes is None:
            return None
        return self._each(lambda spent: spent.written_bytes or 0)

    def _each(self, of: Callable[[Spent], float]) -> float:
        return (of(self.whole) - of(self.idle)) / self.tasks


def plain(tasks: int) -> Iterable[Call[None]]:
    """So many tasks of the default queue and priority."""
    return (nothing.call(number=number) for number in range(tasks))


def enqueue(url: str, calls: Iterable[Call[Any]]) -> None:
    """Add tasks that wait."""
    use(url)
    asyncio.run(_enqueue(calls))


def pass_through(
    database: Database,
    tasks: int,
    *arguments: str,
    calls: Iterable[Call[Any]] | None = None,
    meanwhile: Callable[[], AbstractContextManager[None]] = nullcontext,
    settings: Mapping[str, str] = _DEFAULTS,
    archived: bool = True,
) -> Passage:
    """Enqueue *tasks* that do nothing, or *calls*, then run a worker until nothing is due.

    *meanwhile*: a block around the worker. A worker that finds nothing runs first: what it takes
    to start, to make the archive's partitions and to stop is no task's.
    """

    def run() -> Spent:
        cpu, written = database.cpu_seconds, database.written_bytes
        cost = worker.drain(database.url, *arguments, settings=settings)
        more = database.written_bytes
        return Spent(
            cost,
            database.cpu_seconds - cpu,
            None if written is None or more is None else more - written,
        )

    idle = run()
    enqueue(database.url, plain(tasks) if calls is None else calls)
    database.settle_down()
    with meanwhile():
        whole = run()
    if not archived:
        return Passage(tasks, None, whole, idle)
    done, seconds = span(database.url)
    if done != tasks:
        raise worker.WorkerFailed(f"The worker completed {done:,} of {tasks:,} tasks.")
    return Passage(tasks, seconds, whole, idle)


def span(url: str) -> tuple[int, float]:
    """How many tasks workers completed, and the seconds from the first claim to the last settle."""
    with make_direct_store(url) as store:
        return store.run(_span)


def completions(url: str) -> list[float]:
    """When each task completed, in order, in seconds since the first claim."""
    with make_direct_store(url) as store:
        began, instants = store.run(_instants)
    return [(instant - began).total_seconds() for instant in instants]


async def _enqueue(calls: Iterable[Call[Any]]) -> None:
    await app.enqueue_many(calls)
    await app.close()


#: What a worker ran, and not what a scenario put there.
_RAN = archive.c.worker_id.is_not(None)


def _span(transaction: Transaction) -> tuple[int, float]:
    row = transaction.connection.execute(
        select(func.count(), func.min(archive.c.started_at), func.max(archive.c.completed_at))
        .select_from(archive)
        .where(_RAN)
    ).one()
    return row[0], (row[2] - row[1]).total_seconds() if row[0] else 0.0


def _instants(transaction: Transaction) -> tuple[datetime, list[datetime]]:
    ask = transaction.connection.execute
    began = ask(select(func.min(archive.c.started_at)).where(_RAN)).scalar_one()
    completed = select(archive.c.completed_at).where(_RAN).order_by(archive.c.completed_at)
    return began, list(ask(completed).scalars())
