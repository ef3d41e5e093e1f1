"""A worker's services on a real database, with all that they tell."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text

from celers_worker import Celers, Worker
from celers_worker.config import Config, load_config
from celers_worker.core import control_events
from celers_worker.core import events as facts
from celers_worker.core.errors import StoreError
from celers_worker.core.events import Events, TasksSettled
from celers_worker.core.outcome import Outcome
from celers_worker.core.task import NewTask, Task
from celers_worker.services.crew import Crew, Work
from celers_worker.store import Store, StoreOptions, make_direct_store

Event = TypeVar("Event")


class Seen:
    """Every event there is, in order."""

    def __init__(self, events: Events) -> None:
        self.all: list[object] = []
        for home in (facts, control_events):
            for _, kind in inspect.getmembers(home, inspect.isclass):
                if kind.__module__ == home.__name__ and dataclasses.is_dataclass(kind):
                    events.listen(kind, self.all.append)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.all if isinstance(event, kind)]

    def one(self, kind: type[Event]) -> Event:
        [event] = self.of(kind)
        return event


class Staff:
    """One worker's services, none of them started."""

    def __init__(self, app: Celers, config: Config, store: Store) -> None:
        self.store = store
        self.events = Events()
        self.seen = Seen(self.events)
        self.crew = Crew.built(
            Work(
                config=config,
                events=self.events,
                store=store,
                registry=app.registry,
                counted=True,
                schedules=app.schedules.effective(config),
            )
        )

    @staticmethod
    def options(config: Config) -> StoreOptions:
        database = config.database
        return StoreOptions(
            connect_timeout=database.connect_timeout, call_timeout=database.call_timeout
        )

    async def enter(self) -> None:
        """Appear in the database: a heartbeat that finds no row of its own registers one."""
        await self.crew.heartbeat.tick()

    async def claim(self) -> list[Task]:
        """One tick of the poller; the tasks that it started."""
        before = len(self.seen.of(facts.TasksClaimed))
        await self.crew.poller.tick()
        return [t for event in self.seen.of(facts.TasksClaimed)[before:] for t in event.tasks]

    async def close(self) -> None:
        self.crew.runner.stop_all("the test is over")
        await self.crew.runner.idle(5)
        self.crew.runner.close()
        with contextlib.suppress(StoreError):
            await self.crew.heartbeat.stop()
        await self.store.close()


def configured(url: str, **settings: object) -> Config:
    """A worker's configuration; *settings* are keys of [worker], or dotted with ``__``."""
    flags = {
        key.replace("__", ".") if "__" in key else f"worker.{key}": value
        for key, value in settings.items()
    }
    return load_config(environment={}, flags={"database.url": url} | flags).config


@contextlib.asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """Keep every other transaction from writing to *table*, as another program may.

    The lock is waited for in a thread: who has it may need the loop to let it go.
    """
    lock = _locked(url, table)
    await asyncio.to_thread(lock.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(lock.__exit__, None, None, None)


@contextlib.contextmanager
def _locked(url: str, table: str) -> Iterator[None]:
    with make_direct_store(url) as direct, direct.engine.begin() as connection:
        if url.startswith("postgres"):
            connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        elif url.startswith("mysql"):
            connection.execute(text(f"LOCK TABLES {table} WRITE"))
        yield  # on SQLite to begin has locked the file
        if url.startswith("mysql"):
            connection.execute(text("UNLOCK TABLES"))


def new_task(name: str = "work", payload: bytes = b"{}", **changes: Any) -> NewTask:
    return NewTask(name=name, payload=payload, **changes)


def ids(items: Any) -> list[UUID]:
    return [item.id for item in items]


class Worked:
    """What a worker told that ran until nothing was due."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    @property
    def outcomes(self) -> list[Outcome]:
        return [one.outcome for event in self.seen.of(TasksSettled) for one in event.settlements]


async def drain(app: Celers) -> Worked:
    events = Events()
    seen = Seen(events)
    await Worker(app, app.client.config, until="drain", events=events).run()
    return Worked(seen)
