"""What is done to workers and enqueuers: all that needs no rights on the machine or the server."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from celers_worker.selftest.actors import WorkerActor
from celers_worker.selftest.campaign import LEASE, PATIENCE, STOPS_WITHIN, Campaign
from celers_worker.selftest.tasks import block, perish, stumble, work

#: Does one fault, and returns how many it was.
Fault: TypeAlias = Callable[[Campaign], int]

#: Of tasks that are to be in the middle of a run when something happens, in seconds.
_LONG = LEASE / 2


def _kill_worker(campaign: Campaign) -> int:
    victim = campaign.any_worker()
    campaign.deaths[victim.pid] = victim.kill()
    campaign.expected.add(victim.pid)
    return 1


def _freeze_worker(campaign: Campaign) -> int:
    """Until another runs what it ran: then it wakes up, and settles late."""
    tasks = campaign.send([work.call(seconds=_LONG) for _ in range(6)])
    victim, task = _one_that_runs(campaign, tasks)
    campaign.frozen.add(victim.pid)
    _stop_between_writes(campaign, victim)

    def taken_over() -> bool:
        """By another; or it had just ended."""
        begun = campaign.notebook.said("start", task)
        ended = campaign.notebook.said("end", task)
        return bool(ended) or any(words[2] != str(victim.pid) for words in begun)

    campaign.wait(taken_over, PATIENCE)
    victim.send_signal(signal.SIGCONT)
    return 1


def _end_worker(campaign: Campaign) -> int:
    return _told_to_stop(campaign, times=1)


def _hurry_worker(campaign: Campaign) -> int:
    return _told_to_stop(campaign, times=2)


def _kill_enqueuer(campaign: Campaign) -> int:
    campaign.enqueuer.kill()
    return 1


def _kill_between_send_and_answer(campaign: Campaign) -> int:
    victim = campaign.hire_enqueuer(dies=True)
    campaign.wait(lambda: victim.exit_code is not None, PATIENCE)
    campaign.dismiss(victim)
    return 1


def _end_sessions(campaign: Campaign) -> int:
    campaign.any_worker()  # or there might be none
    return campaign.end_sessions()


def _handler_kills_its_process(campaign: Campaign) -> int:
    [task] = campaign.send([perish.call()])

    def replaced() -> bool:
        begun = campaign.notebook.said("start", task)
        living = {str(worker.pid) for worker in campaign.workers}
        return bool(begun) and begun[0][2] not in living

    campaign.wait(replaced, PATIENCE)
    return 1


def _handler_fails(campaign: Campaign) -> int:
    return len(campaign.send([stumble.call(times=2) for _ in range(5)])) * 2


def _handler_blocks(campaign: Campaign) -> int:
    """For longer than a lease: the worker must keep it, and its other tasks."""
    return len(campaign.send([block.call(seconds=1.2 * LEASE)]))


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "worker killed (kill -9)": _kill_worker,
        "worker frozen, and awake too late": _freeze_worker,
        "worker told to stop (SIGTERM)": _end_worker,
        "worker told to stop twice": _hurry_worker,
        "enqueuer killed (kill -9)": _kill_enqueuer,
        "enqueuer killed before the answer": _kill_between_send_and_answer,
        "session ended by the server": _end_sessions,
        "handler kills its process": _handler_kills_its_process,
        "handler fails": _handler_fails,
        "handler blocks the event loop": _handler_blocks,
    }
)
SESSIONS = "session ended by the server"


def _told_to_stop(campaign: Campaign, *, times: int) -> int:
    victim = campaign.any_worker()
    campaign.expected.add(victim.pid)
    for _ in range(times):
        victim.send_signal(signal.SIGTERM)
    if not victim.ended_within(STOPS_WITHIN):
        campaign.complain(f"a worker did not stop within {STOPS_WITHIN:g} s of SIGTERM")
        campaign.deaths[victim.pid] = victim.kill()
    elif victim.exit_code:
        campaign.complain(victim.last_words())
    return 1


def _one_that_runs(campaign: Campaign, tasks: Sequence[UUID]) -> tuple[WorkerActor, UUID]:
    """A worker that is in the middle of one of *tasks*."""
    found: list[tuple[WorkerActor, UUID]] = []

    def begun() -> bool:
        workers = {str(worker.pid): worker for worker in campaign.workers}
        found.extend(
            (workers[words[2]], task)
            for task in tasks
            for words in campaign.notebook.said("start", task)
            if words[2] in workers
        )
        return bool(found)

    campaign.wait(begun, PATIENCE)
    return found[0]


def _stop_between_writes(campaign: Campaign, victim: WorkerActor) -> None:
    """SIGSTOP, but not while it holds the lock of a file that everybody needs."""
    end = time.monotonic() + PATIENCE
    while True:
        victim.send_signal(signal.SIGSTOP)
        if campaign.is_writable() or time.monotonic() > end:
            return
        victim.send_signal(signal.SIGCONT)
        time.sleep(0.02)
