"""Figures of tasks that have ended: how long they waited and ran, how many failed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from celers_worker.core.task import TaskState

#: The percentiles that are given of every span of time.
PERCENTILES = (50, 95, 99)


class Grouping(StrEnum):
    """By what figures are told apart."""

    QUEUE = "queue"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Passage:
    """One task that has ended. Seconds: ``wait`` from due to the start of its last run, ``run`` of
    that run, ``total`` from enqueue to end; None where it never ran.
    """

    name: str
    queue: str
    state: TaskState
    runs: int
    wait: float | None
    run: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of a span of time in seconds; None: there was nothing to measure."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    longest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What became of the tasks of one queue, of one name, or of all of them.

    ``per_second`` counts all that ended. ``failure_rate`` is the share of dead ones among those
    that ended, ``retry_rate`` the share of those that needed more than one run.
    """

    key: str
    ended: int
    completed: int
    cancelled: int
    expired: int
    failed: int
    per_second: float
    failure_rate: float
    retry_rate: float
    wait: Spread
    run: Spread
    total: Spread


def figures(
    passages: Iterable[Passage], *, over: timedelta, by: Grouping | None = None
) -> list[Figures]:
    """The figures of *passages*, all of which ended within *over*; the busiest group first."""
    groups: defaultdict[str, list[Passage]] = defaultdict(list)
    for passage in passages:
        groups[_key(by)(passage)].append(passage)
    found = [_figures(key, group, over) for key, group in groups.items()]
    return sorted(found, key=lambda one: (-one.ended, one.key))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that *percent* of the *ordered* values do not exceed (nearest rank)."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def _key(by: Grouping | None) -> Callable[[Passage], str]:
    match by:
        case None:
            return lambda passage: ""
        case Grouping.QUEUE:
            return lambda passage: passage.queue
        case Grouping.NAME:
            return lambda passage: passage.name


def _figures(key: str, group: Sequence[Passage], over: timedelta) -> Figures:
    counts = {
        state: sum(passage.state is state for passage in group)
        for state in (
            TaskState.COMPLETED,
            TaskState.CANCELLED,
            TaskState.EXPIRED,
            TaskState.FAILED,
        )
    }
    return Figures(
        key=key,
        ended=len(group),
        completed=counts[TaskState.COMPLETED],
        cancelled=counts[TaskState.CANCELLED],
        expired=counts[TaskState.EXPIRED],
        failed=counts[TaskState.FAILED],
        per_second=len(group) / over.total_seconds() if over else 0.0,
        failure_rate=counts[TaskState.FAILED] / len(group),
        retry_rate=sum(passage.runs > 1 for passage in group) / len(group),
        wait=_spread(passage.wait for passage in group),
        run=_spread(passage.run for passage in group),
        total=_spread(passage.total for passage in group),
    )


def _spread(spans: Iterable[float | None]) -> Spread:
    ordered = sorted(max(span, 0.0) for span in spans if span is not None)
    if not ordered:
        return Spread()
    p50, p95, p99 = (percentile(ordered, percent) for percent in PERCENTILES)
    return Spread(p50, p95, p99, ordered[-1])
