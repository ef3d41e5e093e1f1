"""Who takes part: the queues that can run here, and the limit, each with its server running."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from bench.figures import Figures
from bench.peers.contestant import Contestant, Trouble
from bench.peers.contestants import CONTESTANTS
from bench.peers.installation import Installation
from bench.peers.limit import Limit, pgbench
from bench.peers.postgres import Postgres, postgres
from bench.peers.program import CHECKOUT, Driver
from bench.peers.redis import Redis, redis
from bench.peers.scenarios import EXTRA, SCENARIOS
from bench.peers.surroundings import SURROUNDINGS

#: The batches of pgbench, by what they are called on the command line.
LIMITS = {"limit-1000": 1000, "limit-100": 100}
NAMES = (*CONTESTANTS, *LIMITS)


@dataclass(frozen=True, slots=True)
class Entrant:
    """What is measured, and the new place for each of its scenarios."""

    title: str
    new_place: Callable[[], AbstractContextManager[Any]]
    scenarios: Mapping[str, Callable[[Any, int], Figures]]
    divisor: int = 1


class Field:
    """The entrants with all they need; the servers run until *running* is closed."""

    def __init__(self, running: ExitStack) -> None:
        self._running = running
        self._installation = Installation(CHECKOUT / ".bench-peers")

    def entrants(self, names: Sequence[str]) -> Iterator[Entrant]:
        """Those that can run here; a line for each of the others."""
        for name in names:
            try:
                yield self._limit(name) if name in LIMITS else self._queue(CONTESTANTS[name])
            except Trouble as trouble:
                print(f"{name} is skipped: {trouble}", file=sys.stderr)

    def _queue(self, contestant: Contestant) -> Entrant:
        driver = Driver(contestant, self._installation.command(contestant))
        server = self._redis if contestant.server == "redis" else self._postgres
        scenarios = {
            name: partial(scenario, driver)
            for name, scenario in SCENARIOS.items()
            if name not in EXTRA or contestant.name in SURROUNDINGS
        }
        return Entrant(contestant.title, server.place, scenarios, contestant.divisor)

    def _limit(self, name: str) -> Entrant:
        pgbench()  # or it is skipped
        limit = Limit(LIMITS[name])
        scenarios = {
            each.__name__: each for each in (limit.drain, limit.drain_by_two, limit.single)
        }
        return Entrant(f"limit, by {limit.batch}", self._postgres.place, scenarios)

    @cached_property
    def _postgres(self) -> Postgres:
        return self._running.enter_context(postgres())

    @cached_property
    def _redis(self) -> Redis:
        return self._running.enter_context(redis(self._installation.redis()))
