"""What is done with each contestant; every scenario has a new database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import quantiles
from types import MappingProxyType
from typing import Any, TypeAlias

from bench import cpu
from bench.figures import Figures
from bench.peers.contestant import Trouble
from bench.peers.program import Driver
from bench.peers.surroundings import SURROUNDINGS

Scenario: TypeAlias = Callable[[Driver, Any, int], Figures]

#: Single tasks are added for so many seconds.
SPAN = 3
SAMPLES = 300
#: Seconds that a worker has to become idle, and to run the last task.
IDLE, LAST = 4.0, 1.0
PER = 10_000


def drain(driver: Driver, place: Any, tasks: int) -> Figures:
    """Enqueue many tasks, then run one worker process until the last is settled."""
    filled = _fill(driver, place, tasks)
    return {"bulk enqueue": filled, **_drain(driver, place, tasks, processes=1)}


def drain_by_two(driver: Driver, place: Any, tasks: int) -> Figures:
    """The same by two worker processes."""
    _fill(driver, place, tasks)
    figures = _drain(driver, place, tasks, processes=2)
    return {"drain, 2 processes": figures["drain, 1 process"]}


def drain_among_others(driver: Driver, place: Any, tasks: int) -> Figures:
    """The same by one, where a million tasks wait for tomorrow and a million are finished."""
    _fill(driver, place, tasks, SURROUNDINGS[driver.contestant.name])
    figures = _drain(driver, place, tasks, processes=1)
    return {"drain, surrounded": figures["drain, 1 process"]}


def single(driver: Driver, place: Any, tasks: int) -> Figures:
    """Add tasks one by one for a while; each call returns when its task is on the disk."""
    driver.run("prepare", place.url)
    answer = driver.run("single", place.url, SPAN)
    return {"single enqueue": answer["tasks"] / answer["seconds"]}


def latency(driver: Driver, place: Any, tasks: int) -> Figures:
    """From the call that enqueues to the handler's start, on an idle worker, in milliseconds."""
    samples = min(SAMPLES, tasks)
    driver.run("prepare", place.url)
    with driver.workers(place.url) as (worker,):
        time.sleep(IDLE)
        answer = driver.run("ping", place.url, samples)
        time.sleep(LAST)
        answer |= worker.stop()
    started = {int(number): at for number, at in answer["started"].items()}
    if len(started) != samples:
        raise Trouble(f"{driver.contestant.name}: {len(started)} of {samples} tasks started.")
    waits = [(started[number] - at) / 1e6 for number, at in enumerate(answer["called"])]
    cuts = quantiles(waits, n=100, method="inclusive")
    return {"latency, p50": cuts[49], "latency, p99": cuts[98]}


def _fill(driver: Driver, place: Any, tasks: int, around: Sequence[str] = ()) -> float:
    """Tasks a second."""
    driver.run("prepare", place.url)
    if around:
        place.surround(around)
    seconds = driver.run("fill", place.url, tasks)["seconds"]
    place.settle_down()
    return tasks / float(seconds)


def _drain(driver: Driver, place: Any, tasks: int, *, processes: int) -> Figures:
    """From the moment at which all processes may claim to the one at which nothing is left."""
    tables = driver.contestant.tables
    last = place.last_task(tables)
    with (
        place.gate(tables) as gate,
        driver.workers(place.url, processes) as workers,
    ):
        gate.await_arrival(workers)
        pids = [worker.pid for worker in workers]
        worker_cpu, server_cpu = cpu.seconds_of(pids), place.cpu_seconds()
        written = place.written_bytes()
        began = time.monotonic()
        gate.open()
        place.await_settled(tables, last)
        seconds = time.monotonic() - began
        worker_cpu = cpu.seconds_of(pids) - worker_cpu
        server_cpu = place.cpu_seconds() - server_cpu
        written = place.written_bytes() - written
        ran = [worker.stop().get("ran") for worker in workers]
    _check(driver, place, tasks, ran)
    return {
        "drain, 1 process": tasks / seconds,
        "worker CPU": worker_cpu / tasks * PER,
        "server CPU": server_cpu / tasks * PER,
        "all CPU": (worker_cpu + server_cpu) / tasks * PER,
        "WAL": written / tasks,
    }


def _check(driver: Driver, place: Any, tasks: int, ran: list[int | None]) -> None:
    """Each task ran once and is settled; what nobody counts is None."""
    counted = None if None in ran else sum(filter(None, ran))
    completed = place.completed(driver.contestant.tables)
    if {counted, completed} - {None} != {tasks}:
        raise Trouble(
            f"{driver.contestant.name}: of {tasks:,} tasks {counted} ran and {completed} completed."
        )


#: By name: each for a new database, or an emptied one.
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {each.__name__: each for each in (drain, drain_by_two, single, latency, drain_among_others)}
)
#: Those that take a minute each, and not every contestant has.
EXTRA = (drain_among_others.__name__,)
