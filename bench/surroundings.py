"""Whether the work around it makes a task cost more: each as a ratio to the same run without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bench.database import NewDatabase
from bench.figures import Figures
from bench.passage import Passage, pass_through, plain
from bench.tasks import nothing
from celers_worker.app.declared import Call
from tests import crowd

AROUND = 1_000_000
PRIORITIES, QUEUES = 10, 100


def _of_many_priorities(tasks: int) -> Iterable[Call[None]]:
    levels = [nothing.with_(priority=priority) for priority in range(PRIORITIES)]
    return (levels[number % PRIORITIES].call(number=number) for number in range(tasks))


def _of_many_queues(tasks: int) -> Iterable[Call[None]]:
    queues = [nothing.with_(queue=f"queue-{number}") for number in range(QUEUES)]
    return (queues[number % QUEUES].call(number=number) for number in range(tasks))


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What is in the database before, and what the tasks are."""

    scheduled: int = 0
    archived: int = 0
    calls: Callable[[int], Iterable[Call[Any]]] = plain

    def measure(self, new_database: NewDatabase, tasks: int) -> Passage:
        """Let tasks pass through it."""
        with new_database() as database:
            crowd.schedule_for_tomorrow(database.url, self.scheduled)
            if self.archived:
                crowd.fill_archive(database.url, self.archived)
            database.flush()
            return pass_through(database, tasks, calls=self.calls(tasks))


_EMPTY = _Surroundings()
_VARIANTS: Mapping[str, _Surroundings] = MappingProxyType(
    {
        f"{AROUND:,} scheduled for tomorrow": _Surroundings(scheduled=AROUND),
        f"{AROUND:,} archived": _Surroundings(archived=AROUND),
        "both": _Surroundings(scheduled=AROUND, archived=AROUND),
        f"{PRIORITIES} priorities": _Surroundings(calls=_of_many_priorities),
        f"{QUEUES} queues": _Surroundings(calls=_of_many_queues),
    }
)


def surroundings(new_database: NewDatabase, tasks: int) -> Figures:
    """Right before each of them the same without it: what else this machine does changes.

    The ratio of CPU time, the worker's and the server's, depends on that less than the speed does.
    """
    figures = {}
    for name, variant in _VARIANTS.items():
        without = _EMPTY.measure(new_database, tasks)
        within = variant.measure(new_database, tasks)
        figures[f"drain, {name}"] = within.rate
        figures[f"{name}, ratio of speed"] = within.rate / without.rate
        figures[f"{name}, ratio of CPU"] = within.cpu / without.cpu
    return figures
