"""What every program here does: ``run_x.py ROLE URL [NUMBER]``, its answer a line of JSON.

Imports nothing of ours: it runs in the peers' own virtual environment.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

BULK = 1000
#: Seconds between two tasks: the worker is idle again.
GAPS = (0.02, 0.12)

Answer: TypeAlias = dict[str, Any]
Role: TypeAlias = Callable[[str, int], Awaitable[Answer | None]]


def program(roles: Mapping[str, Role], run: Callable[[Any], Any] = asyncio.run) -> None:
    """Run the role that the command line names."""
    role, url, *number = sys.argv[1:]
    tell(run(roles[role](url, int(number[0]) if number else 0)) or {})


def tell(answer: Answer) -> None:
    """The benchmark reads the last line of JSON."""
    sys.stdout.write(json.dumps(answer) + "\n")


async def timed_fill(
    tasks: int, add: Callable[[Sequence[int]], Awaitable[Any]], bulk: int = BULK
) -> Answer:
    """Seconds that *add* took for all tasks, called with the numbers of each bulk."""
    began = time.perf_counter()
    for first in range(0, tasks, bulk):
        await add(range(first, min(first + bulk, tasks)))
    return {"seconds": time.perf_counter() - began}


async def timed_single(seconds: int, add: Callable[[int], Awaitable[Any]]) -> Answer:
    """How many tasks *add* added in about so many seconds, each awaited."""
    await add(-1)  # connects
    began = time.perf_counter()
    tasks = 0
    while time.perf_counter() - began < seconds:
        await add(tasks)
        tasks += 1
    return {"tasks": tasks, "seconds": time.perf_counter() - began}


async def timed_pings(tasks: int, add: Callable[[int], Awaitable[Any]]) -> Answer:
    """When *add* was called for each task, in nanoseconds; the worker is idle each time."""
    called = []
    for number in range(tasks):
        await asyncio.sleep(random.uniform(*GAPS))
        called.append(time.monotonic_ns())
        await add(number)
    return {"called": called}


def asked() -> asyncio.Event:
    """An event that is set when this process is asked to end."""
    event = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, event.set)
    return event


class Record:
    """What a worker's handlers did."""

    def __init__(self) -> None:
        self.ran = 0
        self._started: dict[int, int] = {}

    def nothing(self) -> None:
        """Count a task."""
        self.ran += 1

    def start(self, number: int) -> None:
        """Note when a task started, by the clock that all processes of a machine share."""
        self._started[number] = time.monotonic_ns()

    def told(self) -> Answer:
        """For the benchmark."""
        return {"ran": self.ran, "started": self._started}
