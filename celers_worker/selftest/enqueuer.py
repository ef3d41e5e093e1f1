"""A program that enqueues, and notes what it tried and what was answered: it may be killed.

``python -m celers_worker.selftest.enqueuer``, started by actors.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
import time

import msgspec

from celers_worker.app.declared import Call
from celers_worker.benchmark.lifeline import end_with_input, first_line
from celers_worker.benchmark.worker import READY
from celers_worker.child.guard import killed_with
from celers_worker.config import Config
from celers_worker.core.errors import StoreError
from celers_worker.selftest import notes
from celers_worker.selftest.tasks import app, stumble, work
from celers_worker.store import Store, make_store

#: Tasks in a batch, and seconds between two.
BATCH, PAUSE = 5, 0.1


class Order(msgspec.Struct, frozen=True):
    """What to enqueue where. *dies*: in the middle of its fourth batch."""

    config: Config
    notes: str
    parent: int
    dies: bool = False


def main() -> None:
    """Enqueue until it is told to stop, or its input ends."""
    order = msgspec.json.decode(first_line(), type=Order)
    killed_with(order.parent)
    threading.Thread(target=end_with_input, daemon=True).start()
    notes.begin(order.notes)
    app.client.config = order.config
    asyncio.run(_enqueue(order))


async def _enqueue(order: Order) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = make_store(order.config.database.url, app.client.options)
    try:
        taken = [await _add(store) for _ in range(3)]
        os.write(sys.stdout.fileno(), READY)
        if order.dies:
            _die_within(min(taken))
        while not stop.is_set():
            await _add(store)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await stop.wait()
    finally:
        await store.close()


async def _add(store: Store) -> float:
    """Enqueue a batch, and say how long that took."""
    tasks = [_some_call().task for _ in range(BATCH)]
    ids = " ".join(str(task.id) for task in tasks)
    notes.note(f"sent {ids}")
    began = time.perf_counter()
    try:
        await store.enqueue(tasks)
    except StoreError:
        await asyncio.sleep(PAUSE)  # whether they were added, nobody knows
    else:
        notes.note(f"acknowledged {ids}")
    return time.perf_counter() - began


def _some_call() -> Call[int]:
    if random.random() < 0.1:
        return stumble.call(times=1)
    return work.call(seconds=random.uniform(0, 0.1))


def _die_within(seconds: float) -> None:
    """By a signal that the kernel sends, so that no line of ours can be between."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.1, 0.9) * seconds)


if __name__ == "__main__":
    main()
