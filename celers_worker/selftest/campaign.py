"""A campaign: workers and enqueuers at work in a place of their own, and what happens to them."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from msgspec import structs

from celers_worker.app.declared import Call
from celers_worker.benchmark.process import WorkerFailed
from celers_worker.config import Config
from celers_worker.config.tables import LogSettings, WorkerSettings
from celers_worker.core.errors import CelersError, StoreError, Unavailable
from celers_worker.selftest.actors import Actor, EnqueuerActor, WorkerActor
from celers_worker.selftest.notes import Notebook
from celers_worker.selftest.tasks import PATIENT, QUEUE, app
from celers_worker.store import DirectStore, StoreOptions, evidence, make_direct_store
from celers_worker.store.premises import Place, end_sessions

#: Seconds. Short ones, so that a minute is enough for many of them to run out; but three seconds
#: without a turn at its file are no fault of SQLite's on a machine that is busy.
LEASE, REAP, GRACE = 6.0, 0.5, 2.0
#: From SIGTERM to the end of a worker: its graces, and what a busy machine adds.
STOPS_WITHIN = 30.0
#: The longest wait for something that must happen.
PATIENCE = 90.0
WORKERS = 3
#: What a worker is; the tests put a broken one in its place.
WORKER = WorkerActor


class Stuck(CelersError):
    """What must happen did not."""


@dataclass
class Campaign:
    """Everything that is at work. As a context it ends every process that it has started."""

    place: Place
    store: DirectStore
    config: Config
    folder: Path
    workers: list[WorkerActor] = field(default_factory=list)
    #: When processes died, by the monotonic clock in nanoseconds.
    deaths: dict[int, int] = field(default_factory=dict)
    #: Processes whose end is no wonder.
    expected: set[int] = field(default_factory=set)
    frozen: set[int] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    sent: set[UUID] = field(default_factory=set)
    acknowledged: set[UUID] = field(default_factory=set)
    chance: random.Random = field(default_factory=random.Random)
    #: No enqueuer is needed any more.
    closing: bool = False

    def __post_init__(self) -> None:
        app.client.config = self.config
        self._notes = self.folder / "notes"
        self.notebook = Notebook(self._notes)
        self._actors: list[Actor] = []

    def __enter__(self) -> Self:
        """Workers and an enqueuer, all at work."""
        impatient = StoreOptions(call_timeout=timedelta(seconds=1))
        self._impatient = make_direct_store(self.place.url, impatient)
        try:
            self.workers = [self.hire_worker() for _ in range(WORKERS)]
            self.enqueuer = self.hire_enqueuer()
            for actor in self._actors:
                actor.await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *details: object) -> None:
        for actor in self._actors:
            actor.close()
        self._impatient.close()

    # --- who is at work ---

    def hire_worker(self) -> WorkerActor:
        """Start a worker."""
        actor = WORKER(self.config, str(self._notes))
        self._actors.append(actor)
        return actor

    def hire_enqueuer(self, *, dies: bool = False) -> EnqueuerActor:
        """Start an enqueuer."""
        actor = EnqueuerActor(self.config, str(self._notes), dies=dies)
        self._actors.append(actor)
        return actor

    def any_worker(self) -> WorkerActor:
        """One that works."""
        self.replace_the_dead()
        victim = self.chance.choice(self.workers)
        victim.await_ready()
        return victim

    def replace_the_dead(self) -> None:
        """Start another process for each that has ended; complain if nobody has ended it."""
        gone = [worker for worker in self.workers if worker.exit_code is not None]
        # Read afterwards: who kills itself says so before.
        dying = {int(pid): int(at) for pid, at in self.notebook.said("death")}
        self.deaths.update(dying)
        self.expected |= dying.keys()
        for worker in gone:
            if worker.pid not in self.expected:
                self.complain(f"{worker.last_words()} Nobody had ended it.")
            self.dismiss(worker)
            self.workers[self.workers.index(worker)] = self.hire_worker()
        if self.enqueuer.exit_code is not None and not self.closing:
            self.dismiss(self.enqueuer)
            self.enqueuer = self.hire_enqueuer()

    def dismiss(self, actor: Actor) -> None:
        """Let go of a process, however it is."""
        actor.close()
        self._actors.remove(actor)

    # --- what they are given, and what is asked ---

    def send(self, calls: Iterable[Call[Any]]) -> list[UUID]:
        """Enqueue from here, and keep account of what was answered."""
        tasks = [call.task for call in calls]
        ids = [task.id for task in tasks]
        self.sent.update(ids)
        self.store.enqueue(tasks)
        self.acknowledged.update(ids)
        return ids

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Wait, and replace the dead meanwhile. Raises Stuck."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                raise Stuck(f"{QUEUE}: nothing has come of it within {seconds:g} s")
            time.sleep(0.05)
            self.replace_the_dead()

    def complain(self, text: str) -> None:
        """Note what must not be."""
        self.complaints.append(text)

    def end_sessions(self) -> int:
        """End the sessions of everybody here, and say how many."""
        ended = self.store.run(
            lambda transaction: end_sessions(transaction.connection, self.place.name)
        )
        for store in (self.store, self._impatient):
            store.close()  # perhaps its own: it connects anew when it is used
        return ended

    def is_writable(self) -> bool:
        """Whether nobody holds up all others."""
        try:
            self._impatient.run(lambda transaction: None)
        except StoreError:
            return False
        return True

    def finish(self) -> None:
        """Let everything that was enqueued come to its end, then stop everybody."""
        self.closing = True
        self._end(self.enqueuer)
        fewest, since = self.left(), time.monotonic()
        while fewest and time.monotonic() - since < PATIENCE:
            time.sleep(0.1)
            self.replace_the_dead()
            if (left := self.left()) < fewest:
                fewest, since = left, time.monotonic()
        if fewest:
            self.complain(f"{fewest:,} tasks have not ended, and none did for {PATIENCE:g} s")
        for worker in self.workers:
            self._end(worker)

    def left(self) -> int:
        """How many tasks have not ended; many, if the database has no time to say."""
        try:
            return self.store.run(evidence.live)
        except Unavailable:
            return sys.maxsize

    def _end(self, actor: Actor) -> None:
        if actor.exit_code is None:
            try:
                actor.await_ready()  # one that has just been hired would not know how to stop
                actor.await_end(0)
            except WorkerFailed as error:
                self.complain(str(error))


def config_for(config: Config, place: Place) -> Config:
    """The user's way to the database, and settings by which much happens within a minute."""
    given = config.database
    return Config(
        database=structs.replace(
            given, url=place.url, call_timeout=min(given.call_timeout, timedelta(seconds=3))
        ),
        worker=WorkerSettings(
            name="celers selftest",
            queues=(QUEUE,),
            concurrency=10,
            threads=8,
            lease=timedelta(seconds=LEASE),
            heartbeat_interval=timedelta(seconds=LEASE / 3),
            reap_interval=timedelta(seconds=REAP),
            grace=timedelta(seconds=GRACE),
            cancel_grace=timedelta(seconds=1),
            max_crashes=PATIENT,
        ),
        log=LogSettings(level="error", format="json"),
    )
