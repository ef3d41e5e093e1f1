"""Feels the pulse of a crew."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from celers_worker.core.pulse import Beat, Permit, Pulse
from celers_worker.services.crew import Crew
from celers_worker.services.permits import Permits
from celers_worker.services.service import Service
from celers_worker.store import Store

#: So many queues and handlers that tasks run of are named; the others count in the total.
_NAMED = 200
_PAGE = os.sysconf("SC_PAGE_SIZE")


def pulse_of(crew: Crew, store: Store, *, worker: str, state: str, reloads: int) -> Pulse:
    """What *crew* says of itself now. To be called in its loop; it waits for nothing."""
    permits = crew.permits
    return Pulse(
        worker=worker,
        pid=os.getpid(),
        state=state,
        problems=_problems(crew, state),
        loops=_beats(crew),
        running=crew.runner.running,
        ended=crew.settler.written,
        concurrency=permits.total,
        permits=_permits(permits),
        backlog=crew.settler.backlog,
        settle_lag=round(crew.settler.lag, 3),
        lease_left=round(crew.heartbeat.lease_left, 3),
        database_latency=crew.heartbeat.latency,
        pool=store.pool,
        memory=resident_memory(),
        reloads=reloads,
    )


def resident_memory() -> int:
    """Bytes of memory that this process occupies, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _beats(crew: Crew) -> list[Beat]:
    beats = [_beat(service) for service in crew.in_order]
    runner = crew.runner
    beats.append(Beat("runner", 0.0, runner.stuck(crew.poller.patience)))
    beats.append(Beat("watchdog", round(crew.watchdog.age, 3), crew.watchdog.stuck))
    return beats


def _beat(service: Service) -> Beat:
    age = time.monotonic() - service.ticked_at
    return Beat(service.name, round(age, 3), service.stuck)


def _problems(crew: Crew, state: str) -> Sequence[str]:
    problems = []
    if state != "running":
        problems.append(f"it is {state}")
    if not crew.poller.has_claimed:
        problems.append("it has not claimed yet")
    if crew.poller.failing or crew.heartbeat.failing:
        problems.append("the database does not answer")
    if not crew.heartbeat.holds_lease:
        problems.append("its lease has run out")
    if crew.permits.closed and state == "running":
        problems.append(f"it claims no tasks: it is {crew.control.state.value}")
    return problems


def _permits(permits: Permits) -> list[Permit]:
    found = [Permit("total", "", permits.in_use, permits.total)]
    found += (
        Permit("queue", name, count, permits.limit_of_queue(name))
        for name, count in permits.use_of_queues().items()
    )
    found += (
        Permit("handler", name, count, limit)
        for name, (count, limit) in permits.use_of_handlers().items()
    )
    return found[: 2 * _NAMED]
