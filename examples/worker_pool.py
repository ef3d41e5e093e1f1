"""A worker inside a program of your own: ten tasks at a time, its health, a graceful end.

    python -m examples.worker_pool              Ctrl-C ends it, a second Ctrl-C at once

`celers worker` is this program with everything else; embed a worker where a process of its own is
one too many.
"""

import asyncio
import random
import signal
from collections import Counter

from celers_worker import Celers, Retry, Worker
from celers_worker.config import load_config
from celers_worker.core.events import Events, ServiceFailed, ServiceRecovered, TasksSettled

app = Celers()


@app.task(queue="pictures", timeout="10s")
async def resize(picture: int) -> str:
    await asyncio.sleep(random.uniform(0.05, 0.3))
    if random.random() < 0.1:
        raise Retry("the storage stumbled", after="500ms")
    return f"picture-{picture}-small.webp"


class Health:
    """What the worker tells of itself. ``metrics.port`` serves more of it to Prometheus."""

    def __init__(self, events: Events) -> None:
        self.outcomes: Counter[str] = Counter()
        self.ailing: set[str] = set()
        events.listen(TasksSettled, self._count)
        events.listen(ServiceFailed, lambda event: self.ailing.add(event.service))
        events.listen(ServiceRecovered, lambda event: self.ailing.discard(event.service))

    def _count(self, event: TasksSettled) -> None:
        self.outcomes.update(type(one.outcome).__name__ for one in event.settlements)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name.lower()}" for name, count in self.outcomes.items())
        state = f"ill: {', '.join(sorted(self.ailing))}" if self.ailing else "well"
        return f"{state}; {counts or 'nothing done yet'}"


async def report(health: Health) -> None:
    while True:
        await asyncio.sleep(1)
        print(f"health: {health}", flush=True)


async def main() -> None:
    flags = {"worker.queues": ["pictures"], "worker.concurrency": 10, "worker.grace": "10s"}
    config = load_config(flags=flags).config
    events = Events()
    health = Health(events)
    worker = Worker(app, config, events=events)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Claims no more, waits for what runs, then gives the rest back without an attempt.
        loop.add_signal_handler(number, worker.stop, f"got {number.name}")

    await app.enqueue_many(resize.call(picture=number) for number in range(100))
    print("100 tasks wait; ten run at a time. Ctrl-C stops.", flush=True)
    reporting = asyncio.create_task(report(health))
    ending = await worker.run()
    reporting.cancel()
    await app.close()
    print(f"stopped: {health}; {ending.released} given back unfinished")


if __name__ == "__main__":
    asyncio.run(main())
