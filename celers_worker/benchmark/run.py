"""One run of the benchmark: a queue of its own, from its mark to the last row that is erased."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from msgspec import structs

from celers_worker.app.declared import DeclaredTask
from celers_worker.benchmark.tasks import app
from celers_worker.config import Config
from celers_worker.core.errors import StoreError
from celers_worker.core.task import new_id
from celers_worker.store import DirectStore, footprint, survey
from celers_worker.store.footprint import Footprint
from celers_worker.store.survey import WorkerView

Answer = TypeVar("Answer")

#: Before the run's id, whose beginning is the time of its start: so a queue says how old it is.
PREFIX = "celers-bench-"
#: No run takes so long. What is older was left by one that was killed.
LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is measured: each figure for so many *seconds*, with at most so many *tasks*."""

    seconds: float = 5.0
    tasks: int = 50_000


class Run:
    """Where measurements are made. Each begins and ends with an empty queue."""

    def __init__(self, store: DirectStore, config: Config, limits: Limits) -> None:
        self.store = store
        self.limits = limits
        self.id = new_id()
        self.queue = f"{PREFIX}{self.id.hex}"
        self._config = config
        app.client.config = config

    def config(self, concurrency: int | None = None) -> Config:
        """The user's configuration, for a worker that serves this queue and nobody else."""
        worker = structs.replace(
            self._config.worker,
            name="celers bench",
            queues=(self.queue,),
            concurrency=concurrency or self._config.worker.concurrency,
            queue_concurrency=None,
        )
        return structs.replace(
            self._config,
            worker=worker,
            queues={},
            metrics=structs.replace(self._config.metrics, port=None),
            log=structs.replace(self._config.log, level="warning"),
        )

    @property
    def footprint(self) -> Footprint:
        """Everything that was enqueued so far."""
        return Footprint(self.queue, self.id, new_id())

    def fill(self, task: DeclaredTask[[], Any], count: int, seconds: float) -> tuple[int, float]:
        """Add up to *count* tasks within so many seconds, and say how many in how much time."""
        return self.enqueueing(lambda: self._fill(task, count, seconds))

    def enqueueing(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do *work* in an event loop that is connected before and closed afterwards."""

        async def connected() -> Answer:
            try:
                await app.client.store()
                return await work()
            finally:
                await app.close()

        return asyncio.run(connected())

    def empty(self) -> None:
        """Erase what the last measurement left."""
        _erase(self.store, self.footprint)

    async def _fill(
        self, task: DeclaredTask[[], Any], count: int, seconds: float
    ) -> tuple[int, float]:
        one = task.with_(queue=self.queue)
        began = time.monotonic()
        end = began + seconds

        def calls() -> Iterator[Any]:
            for number in range(count):
                if number % 1_000 == 0 and number and time.monotonic() > end:
                    return
                yield one.call()

        added = len(await app.enqueue_many(calls()))
        return added, time.monotonic() - began


@contextmanager
def opened_run(store: DirectStore, config: Config, limits: Limits) -> Iterator[Run]:
    """A run on an open *store*; whatever happens in the block, nothing of it stays.

    Before that, what runs that were killed have left is erased.
    """
    for queue in store.run(footprint.marked, PREFIX):
        left = _left(queue)
        if left is not None:
            _erase(store, left)
            store.run(footprint.forget, queue)
    run = Run(store, config, limits)
    store.run(footprint.mark, run.queue)
    try:
        yield run
    finally:
        try:
            run.empty()
            store.run(footprint.forget, run.queue)
        except StoreError as error:
            raise StoreError(
                f"the benchmark's tasks could not be erased and stay in queue {run.queue}; "
                f"`celers bench` erases them when it is run in an hour. {error}"
            ) from error


def intruders(store: DirectStore) -> Sequence[WorkerView]:
    """The workers that serve every queue, so they would claim what is measured with."""
    return [
        view for view in store.run(survey.list_workers) if view.state != "lost" and not view.queues
    ]


def _left(queue: str) -> Footprint | None:
    """What the run of *queue* may have left, if it is over by now."""
    try:
        first = UUID(hex=queue.removeprefix(PREFIX))
    except ValueError:
        return None  # not one of ours
    began = datetime.fromtimestamp((first.int >> 80) / 1_000, UTC)
    if datetime.now(UTC) - began < LONGEST:
        return None
    span = round(LONGEST.total_seconds() * 1_000) << 80
    return Footprint(queue, first, UUID(int=first.int + span))


def _erase(store: DirectStore, of: Footprint) -> None:
    """Batch by batch, so that nothing else waits long; again until there is nothing.

    For a worker that was killed may have had a statement under way.
    """
    while (last := store.run(footprint.erase, of)) is not None:
        while last is not None:
            last = store.run(footprint.erase, Footprint(of.queue, last, of.last))
