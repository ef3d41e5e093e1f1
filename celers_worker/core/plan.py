"""What to do about a schedule's ticks: a decision without a clock and without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from celers_worker.core.policies import Misfire, Overlap
from celers_worker.core.schedule import Schedule
from celers_worker.core.timing import SECOND, latest, newest

_RESOLUTION = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick; if it stands for earlier ones that were missed, *since* is the first of those."""

    at: datetime
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of every tick up to now.

    ``fired`` are enqueued, ``missed`` were late and given up, ``overlapped`` came while the last
    task had not ended, ``waiting`` waits for that. Ticks after ``due_after`` are still to come.
    """

    fired: Sequence[Tick]
    missed: Tick | None
    overlapped: Sequence[Tick]
    waiting: Tick | None
    due_after: datetime


def plan(
    schedule: Schedule,
    *,
    now: datetime,
    due_after: datetime,
    waiting: datetime | None = None,
    busy: bool = False,
) -> Plan:
    """Decide about the ticks after *due_after*, and the one that was *waiting*.

    *busy*: the schedule's last task has not ended. If *due_after* lies ahead, the database's clock
    has been set back: then ticks count from now.
    """
    start = min(due_after, now)
    first = schedule.timing.next_after(start)
    accepted: list[Tick] = []
    missed: Tick | None = None
    end = start
    if first is not None and first <= now:
        accepted, missed = _in_time(schedule, first, start, now)
        end = accepted[-1].at if accepted else missed.at if missed else start
    if waiting is not None:
        accepted.insert(0, Tick(waiting))
    fired, rest = _without_overlap(schedule.policies.overlap, accepted, busy)
    held = rest.pop() if rest and schedule.policies.overlap is Overlap.QUEUE else None
    return Plan(fired=fired, missed=missed, overlapped=rest, waiting=held, due_after=end)


def _in_time(
    schedule: Schedule, first: datetime, start: datetime, now: datetime
) -> tuple[list[Tick], Tick | None]:
    """The ticks that are accepted, by the misfire policy, and those that are missed."""
    policies, timing = schedule.policies, schedule.timing
    begin = start
    if policies.misfire is not Misfire.ALL:
        begin = max(start, now - policies.misfire_after - _RESOLUTION)
    ticks = newest(timing, begin, now, policies.catch_up)
    once = policies.misfire is Misfire.ONCE
    if not ticks and once:
        ticks = newest(timing, start, now, 1)
    if ticks and ticks[0] == first:
        return [Tick(tick) for tick in ticks], None
    if ticks and once:
        return [Tick(ticks[0], since=first), *map(Tick, ticks[1:])], None
    last = latest(timing, start, ticks[0] - SECOND if ticks else now) or first
    return [Tick(tick) for tick in ticks], Tick(last, since=None if last == first else first)


def _without_overlap(
    overlap: Overlap, accepted: list[Tick], busy: bool
) -> tuple[list[Tick], list[Tick]]:
    """Those that are enqueued now, and those that overlap with a task that has not ended."""
    if overlap is Overlap.ALLOW:
        return accepted, []
    return ([], accepted) if busy else (accepted[:1], accepted[1:])
