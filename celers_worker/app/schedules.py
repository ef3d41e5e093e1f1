"""Schedules of an application: declared in its code, or kept in the database while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from celers_worker.app.client import Client
from celers_worker.app.declared import DeclaredTask
from celers_worker.config import Config
from celers_worker.config.schedules import declared_schedules
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler
from celers_worker.core.names import nearest
from celers_worker.core.options import Options
from celers_worker.core.policies import policies_of
from celers_worker.core.registry import Registry
from celers_worker.core.schedule import Schedule, Source, make_schedule
from celers_worker.core.timing import timing_of
from celers_worker.store import schedule_control


class Terms(TypedDict, total=False):
    """When a schedule fires, and what it enqueues: ``cron`` or ``every``; the rest may be left out.

    ``timezone`` is for ``cron``. ``misfire``: skip, once or all; ``overlap``: allow, skip or queue.
    See core.policies, and core.cron for what happens where clocks change.
    """

    cron: str
    every: Duration
    timezone: str
    arguments: Mapping[str, Any]
    options: Options
    misfire: str
    misfire_after: Duration
    catch_up: int
    overlap: str
    jitter: Duration


_POLICIES = ("misfire", "misfire_after", "catch_up", "overlap", "jitter")


class Schedules:
    """Those of the code are declared before a worker runs; those of the database at any time."""

    def __init__(self, registry: Registry, client: Client) -> None:
        self._registry = registry
        self._client = client
        self.declared: dict[str, Schedule] = {}
        """Those of the code, by name."""

    def declare(
        self, name: str, task: str | DeclaredTask[..., Any], /, **terms: Unpack[Terms]
    ) -> None:
        """Declare a schedule. Raises ConfigurationError if its name is taken or it is wrong."""
        if name in self.declared:
            raise ConfigurationError(
                f"two schedules are called {name!r}: give one of them another name."
            )
        self.declared[name] = self._made(name, task, terms, Source.CODE)

    def effective(self, config: Config) -> list[Schedule]:
        """What a worker with *config* declares. Raises ConfigurationError with every problem."""
        return declared_schedules(config, self.declared, self._handler)

    async def add(
        self,
        name: str,
        task: str | DeclaredTask[..., Any],
        /,
        *,
        replace: bool = False,
        **terms: Unpack[Terms],
    ) -> bool:
        """Add a schedule to the database; whether there was none of its name.

        Raises CelersError if there is one, unless *replace*. Workers notice it within
        ``worker.schedule_interval``.
        """
        schedule = self._resolved(name, task, terms)
        store = await self._client.store()
        return await store.run(schedule_control.add, schedule, replace=replace)

    def add_sync(
        self,
        name: str,
        task: str | DeclaredTask[..., Any],
        /,
        *,
        replace: bool = False,
        **terms: Unpack[Terms],
    ) -> bool:
        """``add`` without an event loop."""
        schedule = self._resolved(name, task, terms)
        return self._client.direct().run(schedule_control.add, schedule, replace=replace)

    async def remove(self, name: str) -> None:
        """Remove a schedule from the database. Raises ScheduleNotFound.

        Raises CelersError for one that the code or the configuration of a worker declares.
        """
        store = await self._client.store()
        await store.run(schedule_control.remove, name)

    def remove_sync(self, name: str) -> None:
        """``remove`` without an event loop."""
        self._client.direct().run(schedule_control.remove, name)

    # --- inside ---

    def _handler(self, task: str) -> Handler | None:
        handler = self._registry.get(task)
        return None if handler is None else self._client.configured(handler)

    def _resolved(self, name: str, task: str | DeclaredTask[..., Any], terms: Terms) -> Schedule:
        made = self._made(name, task, terms, Source.DATABASE)
        return made.resolved(self._handler(made.task))

    def _made(
        self, name: str, task: str | DeclaredTask[..., Any], terms: Terms, source: Source
    ) -> Schedule:
        _check_terms(terms)
        given: dict[str, Any] = dict(terms)
        options = given.get("options") or Options()
        if isinstance(task, DeclaredTask):
            options, task = options.over(task.options), task.name
        handler = self._registry.get(task)
        arguments = given.get("arguments")
        made = make_schedule(
            name,
            task,
            timing_of(
                cron=given.get("cron"),
                every=given.get("every"),
                timezone=given.get("timezone"),
            ),
            arguments=arguments,
            options=options,
            policies=policies_of(**{term: given.get(term) for term in _POLICIES}),
            source=source,
        )
        if handler is not None:
            # Only checked here: its options are looked up when the configuration is known.
            make_schedule(name, task, made.timing, arguments=arguments, handler=handler)
        return made


def _check_terms(terms: Terms) -> None:
    for term in terms:
        if term not in Terms.__annotations__:
            raise ConfigurationError(
                f"a schedule has no {term!r}.{nearest(term, Terms.__annotations__)}"
            )
